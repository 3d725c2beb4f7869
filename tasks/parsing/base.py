"""The parsers by name, and the one way to call them."""

from __future__ import annotations

import importlib
import importlib.metadata
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
    return parsed


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
