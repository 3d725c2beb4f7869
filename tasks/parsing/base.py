"""The parsers by name, and the one way to call them."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Callable
from dataclasses import dataclass
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
from tasks.parsing.sniff import HEAD_BYTES, choose_parser

__all__ = ["PARSERS", "Parser", "choose_parser", "parse_file", "parser_version"]

ParseFunction = Callable[[bytes], ParsedDocument]


@dataclass(frozen=True, slots=True)
class Parser:
    """Where a parser is and what its result depends on.

    Attributes:
        function: ``module:function``, imported at first use.
        version: raised by hand whenever the same bytes may give another result.
        libraries: distributions whose version is part of the parser's version.
    """

    function: str
    version: int
    libraries: tuple[str, ...] = ()


PARSERS: dict[str, Parser] = {
    "text": Parser("tasks.parsing.text:parse", 1, ("charset-normalizer",)),
    "markdown": Parser(
        "tasks.parsing.markdown:parse",
        2,
        ("charset-normalizer", "lxml", "markdown-it-py", "PyYAML"),
    ),
    "html": Parser("tasks.parsing.markup:parse", 1, ("charset-normalizer", "lxml")),
    "pdf": Parser("tasks.parsing.pdf:parse", 1, ("pypdfium2",)),
    "docx": Parser("tasks.parsing.office:parse", 2, ("lxml",)),
    "csv": Parser("tasks.parsing.tables:parse", 1, ("charset-normalizer",)),
    "python": Parser("tasks.parsing.code:parse_python", 1, ("charset-normalizer",)),
    "code": Parser("tasks.parsing.code:parse", 1, ("charset-normalizer",)),
}


@cache
def parser_version(name: str) -> str:
    """What a fingerprint needs to know of a parser, without importing its libraries.

    Raises:
        KeyError: no parser has that name.
    """
    parser = PARSERS[name]
    parts = [f"{name} {parser.version}"]
    parts += [f"{lib} {importlib.metadata.version(lib)}" for lib in parser.libraries]
    if name == "python":  # what `ast` accepts depends on the interpreter
        parts.append(f"python {sys.version_info.major}.{sys.version_info.minor}")
    return ", ".join(parts)


def parse_file(path: Path, uri: str) -> ParsedDocument:
    """The elements and metadata of one file; the uri only helps to choose the parser.

    Raises:
        DocumentError: a subclass that says why this file gives no text.
        ConfigurationError: the parser's library is not installed.
        MemoryError: for the caller, which knows the limit.
    """
    data = _read(path)
    name = choose_parser(data[:HEAD_BYTES], uri)
    try:
        parsed = _load(PARSERS[name].function)(data)
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
    if not any(element.text.strip() for element in parsed.elements):
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
