"""The thorough rung of several parsers: the same file through unstructured, offline."""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
import types
from typing import Any, Literal

from schemas.document import Element, Metadata, ParsedDocument
from schemas.errors import DocumentError
from tasks.parsing.markup import fragment_elements
from tasks.parsing.package import damaged, open_package
from tasks.parsing.properties import core_metadata

Kind = Literal["docx", "pptx", "html"]

_MIMES = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "html": "text/html",
}
_LIBRARIES: dict[Kind, str] = {"docx": "python-docx", "pptx": "python-pptx", "html": "unstructured"}
_LEFT_OUT = ("Header", "Footer", "PageBreak", "PageNumber")
_TOKENIZER = "unstructured.nlp.tokenize"
_SENTENCE = re.compile(r"[^.!?。\n]+[.!?。]*")
_WORD = re.compile(r"\w+|[^\w\s]")
_QUIET = ("DO_NOT_TRACK", "SCARF_NO_ANALYTICS", "UNSTRUCTURED_DISABLE_NOTICE")


def parse_docx(data: bytes) -> ParsedDocument:
    """A DOCX by python-docx, as unstructured reads it."""
    return partition_elements(data, "docx")


def parse_pptx(data: bytes) -> ParsedDocument:
    """A PPTX by python-pptx, as unstructured reads it."""
    return partition_elements(data, "pptx")


def parse_html(data: bytes) -> ParsedDocument:
    """HTML as unstructured reads it."""
    return partition_elements(data, "html")


def partition_elements(data: bytes, kind: Kind) -> ParsedDocument:
    """Text, list items and tables of the file; its labels Title and NarrativeText are not used.

    They rest on English words: of Korean documents half the paragraphs are called titles.
    """
    if kind != "html":
        open_package(data).refuse_bombs("")  # python-docx and python-pptx unpack every part
    partition = _partitioner(kind)
    try:
        found = partition(file=io.BytesIO(data), languages=[""])
    except (MemoryError, ImportError):
        raise
    except Exception as exc:  # BadZipFile, KeyError, XMLSyntaxError and more, by where the damage is
        raise damaged(f"{_LIBRARIES[kind]} cannot read it") from exc
    elements = [element for item in found for element in _elements(item, has_pages=kind == "pptx")]
    return ParsedDocument(kind, _MIMES[kind], tuple(elements), _metadata(data, kind))


def _partitioner(kind: str) -> Any:
    """The partitioner, imported so that it neither reports its use nor downloads a language model."""
    for name in _QUIET:
        os.environ.setdefault(name, "1")
    if _TOKENIZER not in sys.modules:
        sys.modules[_TOKENIZER] = _tokenizer()
    module = importlib.import_module(f"unstructured.partition.{kind}")
    return getattr(module, f"partition_{kind}")


def _tokenizer() -> types.ModuleType:
    """Stands in for the module that would load spaCy: what it gives only decides on labels."""
    module = types.ModuleType(_TOKENIZER)
    functions = {
        "sent_tokenize": _SENTENCE.findall,
        "word_tokenize": _WORD.findall,
        "pos_tag": lambda text: [(word, "NN") for word in _WORD.findall(text)],
    }
    vars(module).update(functions)
    return module


def _elements(item: Any, *, has_pages: bool) -> tuple[Element, ...]:
    page = item.metadata.page_number if has_pages else None
    text = (item.text or "").strip()
    if item.category in _LEFT_OUT or not text:
        return ()
    if item.category == "Table" and item.metadata.text_as_html:
        tables = [e for e in fragment_elements(item.metadata.text_as_html) if e.kind == "table"]
        if tables:
            return tuple(Element(table.text, "table", page=page) for table in tables)
    if item.category == "ListItem":
        return (Element("- " + text, "list_item", page=page),)
    return (Element(text, page=page),)


def _metadata(data: bytes, kind: str) -> Metadata:
    if kind == "html":
        return Metadata()
    try:
        return core_metadata(open_package(data))
    except DocumentError:  # this rung is for files that are not quite right
        return Metadata()
