"""The parsers by name, and the one way to call them."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from schemas.document import ParsedDocument
from schemas.errors import (
    ConfigurationError,
    DocumentError,
    EmptyDocument,
    FetchFailed,
    ParseFailed,
)
from tasks.parsing.formats import PARSERS
from tasks.parsing.repair import repair
from tasks.parsing.sniff import HEAD_BYTES, choose_parser

__all__ = ["PARSERS", "choose_parser", "parse_file", "parser_version"]

_NOISE_CHARS = 10_000
_NOISE_RATIO = 100
"""A text so long, with fewer than one letter or digit in so many characters, is no text."""
_NO_MARK = re.compile(r"[\s|\u2500-\u257f-]+")

ParseFunction = Callable[[bytes], ParsedDocument]


@cache
def parser_version(name: str) -> str:
    """What a fingerprint needs to know of a parser, without importing its libraries.

    Raises:
        KeyError: no parser has that name.
    """
    parser = PARSERS[name]
    parts = [f"{name} {parser.version}"]
    parts += [f"{lib} {importlib.metadata.version(lib)}" for lib in parser.libraries]
    return ", ".join(parts)


def parse_file(path: Path, uri: str, rung: int = 0) -> ParsedDocument:
    """The elements and metadata of one file; the uri only helps to choose the parser.

    Args:
        path: the file.
        uri: its name.
        rung: which of the parser's rungs; the last one where it has fewer.

    Raises:
        DocumentError: a subclass that says why this file gives no text.
        ConfigurationError: the parser's library is not installed.
        MemoryError: for the caller, which knows the limit.
    """
    data = _read(path)
    name = choose_parser(data[:HEAD_BYTES], uri)
    try:
        rungs = PARSERS[name].rungs
        parsed = repair(_load(rungs[min(rung, len(rungs) - 1)][1])(data))
    except (DocumentError, MemoryError):
        raise
    except ImportError as exc:
        raise ConfigurationError(
            f"The {name} parser cannot be imported: {exc}.",
            advice="Install the project with all of its dependencies.",
        ) from exc
    except Exception as exc:
        # The exception's own text may quote the document: only its class is told.
        raise ParseFailed(
            f"The {name} parser failed with {type(exc).__name__}.",
            advice="Open the file in its own application and save it again, or exclude it.",
            parser=name,
            error=type(exc).__name__,
        ) from exc
    if not parsed.scans and not any(element.text.strip() for element in parsed.elements):
        raise EmptyDocument("The file has no text.", advice="Exclude it if that is as intended.", parser=name)
    if not parsed.scans and _is_noise(parsed):
        raise EmptyDocument(
            "The file's text is almost only punctuation.",
            advice="Check what wrote it, or exclude it.",
            parser=name,
        )
    return parsed


def _is_noise(parsed: ParsedDocument) -> bool:
    """Whether a long text has next to no letters and digits: brackets, dots, damaged data.

    Blanks and the lines of tables do not count: a wide table with few words is one all the same.
    """
    left = sum(len(element.text) for element in parsed.elements) // _NOISE_RATIO
    if left * _NOISE_RATIO < _NOISE_CHARS:
        return False
    for element in parsed.elements:
        left -= sum(map(str.isalnum, element.text))
        if left <= 0:
            return False
    marks = words = 0
    for element in parsed.elements:
        text = _NO_MARK.sub("", element.text)
        words += sum(map(str.isalnum, text))
        marks += len(text)
    return marks >= _NOISE_CHARS and words * _NOISE_RATIO < marks


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise FetchFailed(
            f"The file could not be read: {exc.strerror}.",
            advice="Check its permissions and that it still exists.",
        ) from exc


@cache
def _load(function: str) -> ParseFunction:
    module, name = function.split(":")
    loaded: ParseFunction = getattr(importlib.import_module(module), name)
    return loaded
