"""PDF by PDFium: text, lines and pages, outline and metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from schemas.document import Metadata, ParsedDocument
from schemas.errors import EmptyDocument, EncryptedDocument, ParseFailed
from tasks.parsing.dates import parse_date
from tasks.parsing.pdf_layout import Outline, elements_of
from tasks.parsing.pdf_lines import Page, read_page

if TYPE_CHECKING:
    import pypdfium2

MAX_OUTLINE = 5000
_PLACEHOLDERS = ("", "untitled", "anonymous", "unspecified", "(unspecified)")


def parse(data: bytes) -> ParsedDocument:
    """Paragraphs by page; headings from the outline or from larger type."""
    start = max(data[:1024].find(b"%PDF-"), 0)
    data = data[start:]
    with _open(data) as document:
        metadata = _metadata(document)
        pages = [_page(document, number) for number in range(len(document))]
        outline = _outline(document)
    elements = elements_of(pages, outline)
    if pages and not elements:
        raise EmptyDocument(
            f"The PDF has {len(pages)} pages and no text layer: it is likely a scan.",
            advice="Run OCR on it (for example `ocrmypdf`) and ingest the result.",
            pages=len(pages),
        )
    return ParsedDocument("pdf", "application/pdf", tuple(elements), metadata)


@contextmanager
def _open(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as exc:
        if "password" in str(exc).lower():
            raise _encrypted() from exc
        raise _damaged() from exc
    try:
        yield document
    except pypdfium2.PdfiumError as exc:
        raise _damaged() from exc
    finally:
        document.close()


def _page(document: pypdfium2.PdfDocument, number: int) -> Page:
    page = document[number]
    text = page.get_textpage()
    try:
        return read_page(text, number + 1, page.get_height())
    finally:
        text.close()
        page.close()


def _outline(document: pypdfium2.PdfDocument) -> Outline:
    """Titles with level (1 is the outermost) by page; a broken outline is none."""
    import pypdfium2

    outline: Outline = {}
    try:
        for count, entry in enumerate(document.get_toc(max_depth=6)):
            if count >= MAX_OUTLINE:
                break
            target = entry.get_dest()
            index = target.get_index() if target else None
            if index is not None:
                outline.setdefault(index + 1, []).append((entry.get_title(), entry.level + 1))
    except (pypdfium2.PdfiumError, ValueError):
        return {}
    return outline


def _metadata(document: pypdfium2.PdfDocument) -> Metadata:
    """What the information dictionary says, without what producers put there by default."""
    facts = {key: value.strip() for key, value in document.get_metadata_dict(skip_empty=True).items()}
    facts = {key: value for key, value in facts.items() if value.lower() not in _PLACEHOLDERS}
    words = (word.strip() for word in re.split("[,;]", facts.get("Keywords", "")))
    return Metadata(
        title=facts.get("Title"),
        author=facts.get("Author"),
        authored_at=parse_date(facts.get("CreationDate", "")),
        tags=tuple(word for word in words if word),
        extra={"subject": facts["Subject"]} if "Subject" in facts else {},
    )


def _encrypted() -> EncryptedDocument:
    return EncryptedDocument("The PDF needs a password.", advice="Save it without one, or exclude it.")


def _damaged() -> ParseFailed:
    return ParseFailed(
        "PDFium cannot read this PDF: it is damaged or cut off.",
        advice="Fetch the file again, or repair it (for example with `qpdf`), or exclude it.",
    )
