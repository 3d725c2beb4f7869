"""From a document that was read to its version: cleaned, masked, cut, signed; any process can do it."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from traceback import extract_tb

from schemas.chunk import ChunkingPolicy
from schemas.digest import version_digest
from schemas.document import ParsedDocument
from schemas.errors import DocumentError, EmptyDocument, ParseFailed, RevectorError, TextTooLong
from schemas.version import VersionDraft, metadata_sha256
from tasks.chunking.base import chunk_document
from tasks.chunking.tokens import TokenCounter
from tasks.cleaning import clean
from tasks.dedup.signature import text_signature
from tasks.masking import mask_document
from tasks.metadata import complete_metadata, is_published

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a collection makes of its documents.

    Attributes:
        tokenizer: folder of the model whose tokens chunks are measured in.
        policy: chunk limits.
        mask: masking policy.
        paths: templates of paths that carry metadata.
        max_characters: a longer document is rejected.
    """

    tokenizer: Path
    policy: ChunkingPolicy
    mask: str
    paths: tuple[str, ...]
    max_characters: int


@dataclass(frozen=True, slots=True)
class DraftJob:
    """A document that was read, and what its version is stored under."""

    recipe: Recipe
    parsed: ParsedDocument
    content_sha256: bytes
    variant: str
    fingerprint: bytes


def do_draft(_: Path, uri: str, job: DraftJob) -> VersionDraft | DocumentError:
    """What a drafting process answers; a bug met by one document must not cost the night's run."""
    try:
        return draft(uri, job)
    except DocumentError as exc:
        return exc
    except (RevectorError, MemoryError):  # of this machine, not of the document
        raise
    except Exception as exc:
        log.exception("document failed: %s", uri)
        return met_a_bug(uri, exc)


def met_a_bug(uri: str, bug: Exception) -> ParseFailed:
    """The rejection of a document that our own code failed at, and where: a process of its own has no log."""
    where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in extract_tb(bug.__traceback__)]
    return ParseFailed(
        f"{uri} met a bug ({type(bug).__name__}: {bug}; at {' > '.join(where[-3:])}).",
        advice="Please report it.",
    )


def draft(uri: str, job: DraftJob) -> VersionDraft:
    """The version.

    Raises:
        TextTooLong: the document has more than `max_characters`.
        EmptyDocument: it holds no text.
        ModelNotAvailable: the tokenizer cannot be read.
    """
    recipe, parsed = job.recipe, job.parsed
    _check_length(uri, parsed, recipe.max_characters)
    document = mask_document(clean(parsed), recipe.mask)
    chunks = chunk_document(document, recipe.policy, _counter(recipe.tokenizer, recipe.policy.tokenizer))
    if not chunks:
        raise EmptyDocument(f"{uri} holds no text.", advice="Exclude it, or give it text.")
    metadata = complete_metadata(parsed, document.text, uri, patterns=recipe.paths)
    text_sha256 = hashlib.sha256(document.text.encode()).digest()
    meta_sha256 = metadata_sha256(metadata)
    return VersionDraft(
        content_sha256=job.content_sha256,
        parser=job.variant,
        fingerprint=job.fingerprint,
        text_sha256=text_sha256,
        metadata_sha256=meta_sha256,
        mime=parsed.mime,
        metadata=metadata,
        chunks=chunks,
        signature=text_signature(document.text),
        published=is_published(metadata),
        problems=parsed.problems,
        digest=version_digest(
            uri, text_sha256, meta_sha256, job.fingerprint, (chunk.hash for chunk in chunks)
        ),
    )


@lru_cache(maxsize=4)
def _counter(tokenizer: Path, _identity: str) -> TokenCounter:
    """Kept for as long as the folder holds the same tokenizer."""
    return TokenCounter.for_model(tokenizer)


def _check_length(uri: str, parsed: ParsedDocument, most: int) -> None:
    """Cleaning and chunking hold a document in memory several times over."""
    length = sum(len(element.text) for element in parsed.elements)
    if length > most:
        raise TextTooLong(
            f"{uri} holds {length:,} characters of text, more than limits.max_characters = {most:,}.",
            advice="Split the document, or raise the limit in revector.toml: 100 bytes of memory each.",
        )
