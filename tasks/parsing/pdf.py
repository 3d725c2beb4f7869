"""PDF by PDFium: text, lines and pages, outline and metadata, and which pages need OCR."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from schemas.document import Metadata, ParsedDocument, PartProblem
from schemas.errors import EmptyDocument, EncryptedDocument, ParseFailed
from tasks.parsing.dates import parse_date
from tasks.parsing.ocr_image import MAX_PIXELS
from tasks.parsing.pdf_forms import with_fields
from tasks.parsing.pdf_layout import Outline, elements_of
from tasks.parsing.pdf_lines import Page, read_page
from tasks.parsing.pdf_usable import has_little_text, is_garbage, is_scan, look_at

if TYPE_CHECKING:
    import pypdfium2
    from PIL import Image

MAX_PAGES = 20_000
MAX_BROKEN_PAGES = 500
MAX_OUTLINE = 5000
MAX_INCHES = 2000
MAX_SQUARE_INCHES = 5000
"""Of a page to be rendered: at 25 million pixels larger ones come out under 70 dpi."""

MAX_BLANK_PAGES_CHECKED = 50
_PLACEHOLDERS = ("", "untitled", "anonymous", "unspecified", "(unspecified)")


@dataclass(slots=True)
class _Found:
    """What the pages gave: text, and the numbers of those without it."""

    pages: list[Page] = field(default_factory=list)
    scans: list[int] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    skipped: range = range(0)


def parse(data: bytes) -> ParsedDocument:
    """Paragraphs by page, headings from the outline or from larger type, and pages for OCR.

    Raises:
        EncryptedDocument: it needs a password.
        ParseFailed: PDFium cannot open it.
        EmptyDocument: it has neither text nor anything that OCR could read.
    """
    start = max(data[:1024].find(b"%PDF-"), 0)
    data = data[start:]
    with open_pdf(data) as document:
        metadata = _metadata(document)
        found = _read(document)
        outline = _outline(document)
    elements = elements_of(found.pages, outline)
    if not elements and not found.scans:
        raise _empty(found)
    problems = _problems(found, data)
    scans = tuple(found.scans)
    return ParsedDocument("pdf", "application/pdf", tuple(elements), metadata, scans, problems)


@contextmanager
def open_pdf(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    """The document, closed at the end. JavaScript is never run: PDFium is built without it."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as exc:
        if "password" in str(exc).lower():
            raise encrypted() from exc
        raise _damaged() from exc
    try:
        document.init_forms()
        yield document
    except pypdfium2.PdfiumError as exc:
        raise _damaged() from exc
    finally:
        document.close()


def render_page(data: bytes, number: int, dpi: int) -> tuple[Image.Image, int]:
    """The page in grey as it is seen, and its dpi: less than asked for where it is huge.

    Raises:
        ParseFailed: PDFium cannot render it.
    """
    with open_pdf(data[max(data[:1024].find(b"%PDF-"), 0) :]) as document:
        page = document[number - 1]
        width, height = page.get_size()
        inches = width * height / 72**2
        if not 0 < inches < MAX_SQUARE_INCHES or max(width, height) > 72 * MAX_INCHES:
            raise ParseFailed(
                f"Page {number} is too large or has no size.", advice="Print it to a new PDF, or exclude it."
            )
        dpi = min(dpi, int((MAX_PIXELS / inches) ** 0.5))
        image: Image.Image = page.render(scale=dpi / 72, grayscale=True).to_pil()
        return image.copy(), dpi  # its own memory: the bitmap goes with the document


def _read(document: pypdfium2.PdfDocument) -> _Found:
    import pypdfium2

    found, count = _Found(), len(document)
    for number in range(1, min(count, MAX_PAGES) + 1):
        try:
            _read_page(document, number, found)
        except pypdfium2.PdfiumError:
            found.broken.append(number)
        if len(found.broken) >= MAX_BROKEN_PAGES:
            break
    found.skipped = range(number + 1, count + 1) if count else range(0)
    return found


def _read_page(document: pypdfium2.PdfDocument, number: int, found: _Found) -> None:
    """The page's lines, or what is the matter with it; only pages with little text are looked into."""
    page = document[number - 1]
    text = page.get_textpage()
    try:
        read = read_page(text, number, page.get_height())
        if page.formenv:
            read = with_fields(page, read)
        garbage = is_garbage("".join(line.text for line in read.lines))
        if garbage or has_little_text(read):
            shown = look_at(page)
            if is_scan(read, shown, garbage=garbage):
                found.scans.append(number)
            elif not read.lines and shown.is_empty:
                found.blank.append(number)
    finally:
        text.close()
        page.close()
    found.pages.append(replace(read, lines=()) if garbage else read)


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
    facts = {}
    for key in document.METADATA_KEYS:
        with suppress(UnicodeDecodeError):  # half a surrogate: that entry is lost
            facts[str(key)] = str(document.get_metadata_value(key))
    return metadata_of(facts)


def metadata_of(facts: dict[str, str]) -> Metadata:
    """From the entries of an information dictionary."""
    facts = {key: value.strip() for key, value in facts.items()}
    facts = {key: value for key, value in facts.items() if value.lower() not in _PLACEHOLDERS}
    words = (word.strip() for word in re.split("[,;]", facts.get("Keywords", "")))
    return Metadata(
        title=facts.get("Title"),
        author=facts.get("Author"),
        authored_at=parse_date(facts.get("CreationDate", "")),
        tags=tuple(word for word in words if word),
        extra={"subject": facts["Subject"]} if "Subject" in facts else {},
    )


# --- what could not be read -------------------------------------------------------------


def _problems(found: _Found, data: bytes) -> tuple[PartProblem, ...]:
    damaged = sorted(found.broken + _with_lost_content(found.blank, data))
    problems = []
    if damaged:
        message = "PDFium cannot read it. Repair the file (for example with `qpdf`) to have it indexed."
        problems.append(PartProblem(part_of(damaged), "ParseFailed", message))
    if found.skipped:
        last = found.skipped[-1]
        part = f"pages {found.skipped[0]}-{last}"
        message = f"Only {found.skipped[0] - 1} pages were read. Split the file to have all indexed."
        problems.append(PartProblem(part, "ParseFailed", message))
    return tuple(problems)


def _with_lost_content(blank: Sequence[int], data: bytes) -> list[int]:
    """Pages that look blank to PDFium although their file has content for them."""
    if not blank:
        return []
    from tasks.parsing.pdf_plain import content_sizes

    sizes = content_sizes(data, blank[:MAX_BLANK_PAGES_CHECKED])
    return [number for number, size in sizes.items() if size > _BLANK_CONTENT_BYTES]


_BLANK_CONTENT_BYTES = 100
"""Compressed; what producers write on a blank page is shorter."""


def part_of(numbers: Sequence[int]) -> str:
    """Pages as a reader names them; the numbers ascend.

    >>> part_of([3]), part_of([3, 5, 6, 7])
    ('page 3', 'pages 3, 5-7')
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    names = ", ".join("-".join(map(str, run)) for run in runs)
    return f"page{'s' if len(numbers) > 1 else ''} {names}"


def _empty(found: _Found) -> EmptyDocument:
    count = len(found.pages) + len(found.broken)
    return EmptyDocument(
        f"The PDF has {count} pages, none with text or anything that OCR could read.",
        advice="Open it in a viewer: if it shows text, print it to a new PDF; else exclude it.",
        pages=count,
    )


def encrypted() -> EncryptedDocument:
    """The rejection of a PDF that asks for a password."""
    return EncryptedDocument("The PDF needs a password.", advice="Save it without one, or exclude it.")


def _damaged() -> ParseFailed:
    return ParseFailed(
        "PDFium cannot read this PDF: it is damaged or cut off.",
        advice="Fetch the file again, or repair it (for example with `qpdf`), or exclude it.",
    )
