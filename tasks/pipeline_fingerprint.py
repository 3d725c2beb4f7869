"""Pipeline fingerprints: a hash over all that changes what a version holds.

A parser's name alone stands for what its first rungs make of a file within the limits. Where
OCR or a limit had a part in the result, the name says so, and the fingerprint covers that too:
a new tesseract, or a longer time limit, makes those documents due again and no others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from schemas.chunk import ChunkingPolicy
from schemas.duplicate import SIGNATURE_VERSION
from schemas.settings import CollectionSettings, LimitSettings
from tasks.chunking.base import CHUNKING_VERSION
from tasks.cleaning import CLEANING_VERSION
from tasks.masking import MASKING_VERSION
from tasks.metadata import METADATA_VERSION
from tasks.parsing.base import parser_version
from tasks.parsing.formats import PARSERS
from tasks.parsing.sniff import SNIFF_VERSION

PICTURE = "picture"
"""What reads the items of an image collection; the parser `image` reads the text of a scan."""
PICTURE_VERSION = 1
"""Raised whenever the same image may give other facts."""

_BY_OCR = " by ocr"
_UNDER_LIMITS = " under limits"


def by_ocr(parser: str) -> str:
    """The parser's name for documents with pages that only OCR can read."""
    return parser + _BY_OCR


def is_by_ocr(variant: str) -> bool:
    """Whether OCR had a part in the result."""
    return _BY_OCR in variant


def under_limits(variant: str) -> str:
    """The name for results that a limit on time, memory or length had a part in."""
    return variant if variant.endswith(_UNDER_LIMITS) else variant + _UNDER_LIMITS


def base_parser(variant: str) -> str:
    """The parser's own name."""
    return variant.split(" ")[0]


def parser_versions(ocr: str) -> dict[str, str]:
    """Name -> version of each parser, and of each that reads scans with what `ocr` says of tesseract."""
    plain = {name: parser_version(name) for name in PARSERS}
    scanning = {
        by_ocr(name): f"{plain[name]}, {ocr}" for name, parser in PARSERS.items() if parser.reads_scans
    }
    return plain | scanning


def fingerprints(
    versions: Mapping[str, str],
    collection: CollectionSettings,
    policy: ChunkingPolicy,
    limits: LimitSettings,
) -> dict[str, bytes]:
    """Name -> pipeline fingerprint.

    The name "" stands for items rejected before a parser was chosen.
    """
    paths = collection.metadata.paths
    common = {
        "cleaning": CLEANING_VERSION,
        # without templates as before there were any: no document gets a new version
        "metadata": [METADATA_VERSION, *paths] if paths else METADATA_VERSION,
        "masking": [MASKING_VERSION, collection.mask],
        "signature": SIGNATURE_VERSION,
        "chunking": [CHUNKING_VERSION, asdict(policy)],
    }
    parsers = {name: {"parser": version, **common} for name, version in versions.items()}
    bounds = {
        "timeout_s": limits.parse_timeout_s,
        "memory_mb": limits.parse_memory_mb,
        "characters": limits.max_characters,
    }
    page_bounds = {**bounds, "page_timeout_s": collection.ocr.timeout_s}
    limited = {
        name: {**facts, **(page_bounds if name.endswith(_BY_OCR) else bounds)}
        for name, facts in parsers.items()
    }
    unread = {"sniffing": SNIFF_VERSION, "max_file_mb": limits.max_file_mb}
    return (
        {"": hash_facts(unread)}
        | {name: hash_facts(facts) for name, facts in parsers.items()}
        | {under_limits(name): hash_facts(facts) for name, facts in limited.items()}
    )


def image_fingerprints(collection: CollectionSettings, limits: LimitSettings) -> dict[str, bytes]:
    """The same of an image collection. The model is no part of it: vectors belong to spaces."""
    facts = {
        "parser": f"{PICTURE} {PICTURE_VERSION}",
        "metadata": [METADATA_VERSION, *collection.metadata.paths],
        "signature": SIGNATURE_VERSION,
        "classes": collection.prototypes.classes,
    }
    bounds = {"timeout_s": limits.parse_timeout_s, "memory_mb": limits.parse_memory_mb}
    unread = {"sniffing": SNIFF_VERSION, "max_file_mb": limits.max_file_mb, "kind": "images"}
    return {
        "": hash_facts(unread),
        PICTURE: hash_facts(facts),
        under_limits(PICTURE): hash_facts({**facts, **bounds}),
    }


def hash_facts(facts: Mapping[str, object]) -> bytes:
    """32 bytes over JSON values, the same on every machine."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
