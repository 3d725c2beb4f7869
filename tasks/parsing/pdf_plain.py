"""PDF by pypdf: text by page, where PDFium cannot read the file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from schemas.document import Element, ParsedDocument, PartProblem
from schemas.errors import EmptyDocument, ParseFailed
from tasks.parsing.pdf import encrypted, metadata_of, part_of
from tasks.parsing.pdf_usable import is_garbage
from tasks.parsing.text import split_blank_lines

if TYPE_CHECKING:
    import pypdf

MAX_PAGES = 20_000
MAX_CHECKED_BYTES = 50 * 2**20
MAX_CONTENT_BYTES = 20 * 2**20
_MAX_CONTENT_PARTS = 1000


def parse(data: bytes) -> ParsedDocument:
    """Lines as they stand, by page, for pypdf does not tell where a paragraph ends.

    Raises:
        EncryptedDocument: it needs a password.
        ParseFailed: pypdf cannot open it either.
        EmptyDocument: no page has text.
    """
    with _reader(data) as reader:
        metadata = metadata_of(_facts(reader))
        elements, failed = _pages(reader)
    if not elements:
        raise EmptyDocument("No page of the PDF has text.", advice="Open it in a viewer, or exclude it.")
    message = "pypdf finds no text on it. Repair the file (for example with `qpdf`) to have it indexed."
    problems = (PartProblem(part_of(failed), "ParseFailed", message),) if failed else ()
    return ParsedDocument("pdf", "application/pdf", tuple(elements), metadata, problems=problems)


def content_sizes(data: bytes, numbers: Sequence[int]) -> dict[int, int]:
    """Bytes of content, as stored, by page; pages that pypdf cannot find are left out."""
    if len(data) > MAX_CHECKED_BYTES:
        return {}
    try:
        with _reader(data) as reader:
            return {number: _content_size(reader.pages[number - 1]) for number in numbers}
    except Exception:  # pypdf raises of all kinds on damaged files, and this is a second look only
        return {}


@contextmanager
def _reader(data: bytes) -> Iterator[pypdf.PdfReader]:
    import logging

    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings quote the document
    try:
        reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise encrypted()
        yield reader
    except (pypdf.errors.PyPdfError, RecursionError, ValueError, TypeError, KeyError) as exc:
        raise _damaged() from exc


def _facts(reader: pypdf.PdfReader) -> dict[str, str]:
    try:
        return {str(key).lstrip("/"): str(value) for key, value in (reader.metadata or {}).items()}
    except Exception:  # as in `_pages`: what the file says of itself is not worth its text
        return {}


def _pages(reader: pypdf.PdfReader) -> tuple[list[Element], list[int]]:
    """Text, and the numbers of pages without any; a page that fails costs only itself."""
    elements: list[Element] = []
    failed = []
    for number, page in enumerate(reader.pages, 1):
        if number > MAX_PAGES:
            break
        text = _text(page)
        if text.strip() and not is_garbage(text):
            elements += [Element(part, page=number) for part in split_blank_lines(text)]
        else:
            failed.append(number)
    return elements, failed


def _text(page: pypdf.PageObject) -> str:
    try:
        if _content_size(page) > MAX_CONTENT_BYTES:
            return ""
        return page.extract_text()
    except MemoryError:
        raise
    except Exception:  # whatever pypdf raises on this page, the next one may be sound
        return ""


def _content_size(page: pypdf.PageObject) -> int:
    content = page["/Contents"].get_object() if "/Contents" in page else None
    parts = content if isinstance(content, list) else [content]
    streams = (part.get_object() for part in parts[:_MAX_CONTENT_PARTS] if part is not None)
    return sum(len(getattr(stream, "_data", b"")) for stream in streams)


def _damaged() -> ParseFailed:
    return ParseFailed(
        "Neither PDFium nor pypdf can read this PDF: it is damaged or cut off.",
        advice="Fetch the file again, or repair it (for example with `qpdf`), or exclude it.",
    )
