"""Write the report as PDF, and small PDFs with odd features: `python -m tests.formats.build_pdf`.

Needs the Nanum fonts (Debian: fonts-nanum), whose subsets are embedded; tests need only the files.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from html import escape
from pathlib import Path

import pypdf
from pypdf.generic import NameObject
from reportlab.lib.colors import black
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

from tests.formats.source import REPORTS, Report, Section

FIXTURES = Path(__file__).parent / "fixtures"
FONTS = Path("/usr/share/fonts/truetype/nanum")
SIZES = {1: 18, 2: 14, 3: 12, 0: 10}
_FIXED_DATE = b"D:20000101000000+00'00'"

OnPage = Callable[[Canvas, SimpleDocTemplate], None]


def report_pdf(report: Report) -> bytes:
    return document(report, story(report))


def story(report: Report) -> list[Flowable]:
    """The whole report in reading order."""
    return [paragraph(report.title, 1), *(f for section in report.sections for f in section_story(section))]


def section_story(section: Section) -> list[Flowable]:
    flowables: list[Flowable] = [paragraph(section.title, section.level)]
    flowables += [paragraph(text) for text in section.paragraphs]
    flowables += [paragraph(f"- {item}") for item in section.items]
    if section.table:
        grid = [("GRID", (0, 0), (-1, -1), 0.5, black), ("FONT", (0, 0), (-1, -1), "Nanum", SIZES[0])]
        flowables += [Table([list(row) for row in section.table], style=grid, hAlign="LEFT"), Spacer(1, 8)]
    return flowables


def document(report: Report, flowables: list[Flowable], on_page: OnPage | None = None) -> bytes:
    """The PDF, the same bytes each time, dated as the report."""
    buffer = io.BytesIO()
    template = SimpleDocTemplate(
        buffer, pagesize=A4, title=report.title, author=report.author, keywords=list(report.keywords),
        invariant=1,
    )  # fmt: skip
    nothing: OnPage = lambda canvas, template: None  # noqa: E731
    template.build(flowables, onFirstPage=on_page or nothing, onLaterPages=on_page or nothing)
    created = f"D:{report.authored_at:%Y%m%d%H%M%S}+00'00'".encode()
    return buffer.getvalue().replace(_FIXED_DATE, created)


def paragraph(text: str, level: int = 0) -> Paragraph:
    size = SIZES[level]
    style = ParagraphStyle(
        f"level{level}", fontName="Nanum-Bold" if level else "Nanum", fontSize=size, leading=1.45 * size,
        spaceBefore=size if level else 0, spaceAfter=6,
    )  # fmt: skip
    return Paragraph(escape(text), style)


def running_pdf(report: Report) -> bytes:
    """Five pages of sections between a header and a footer that counts the pages."""

    def furniture(canvas: Canvas, template: SimpleDocTemplate) -> None:
        canvas.setFont("Nanum", 8)
        canvas.drawString(72, A4[1] - 40, report.title)
        canvas.drawCentredString(A4[0] / 2, 36, f"- {template.page} -")

    flowables = [paragraph(report.title, 1)]
    for section in (*report.sections, report.sections[0]):
        flowables += [*section_story(section), PageBreak()]
    return document(report, flowables, furniture)


def blank_pdf(report: Report) -> bytes:
    """The middle one of three pages is blank: nothing to read, and no scan."""
    flowables = [*section_story(report.sections[0]), PageBreak(), Spacer(1, 1), PageBreak()]
    return document(report, [*flowables, *section_story(report.sections[1])])


def unreadable_pdf(report: Report) -> bytes:
    """A page whose fonts have no maps to Unicode: a viewer shows it, only OCR can read it."""
    data = document(report, [paragraph(report.title, 1), *section_story(report.sections[0])])
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    for page in writer.pages:
        for font in page["/Resources"]["/Font"].values():  # type: ignore[index]
            font.get_object().pop(NameObject("/ToUnicode"), None)
    return written(writer)


def locked(data: bytes) -> bytes:
    """The same document behind the password "harbour" (RC4: AES would salt it at random)."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    writer.encrypt("harbour", "owner", algorithm="RC4-128")
    return written(writer)


def form_pdf() -> bytes:
    """A form with two text fields filled in and one left empty."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    canvas.setFont("Helvetica", 11)
    canvas.drawString(72, 760, "Visitor record of the harbour warehouse")
    fields = (("Name", "Ingrid Halvorsen"), ("Room", "Cold room 2"), ("Remark", ""))
    for row, (label, value) in enumerate(fields):
        canvas.drawString(72, 700 - 40 * row, f"{label}:")
        canvas.acroForm.textfield(
            name=label, value=value, x=160, y=694 - 40 * row, width=240, height=20, fontSize=11
        )
    canvas.save()
    return buffer.getvalue()


def written(writer: pypdf.PdfWriter) -> bytes:
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def register_fonts() -> None:
    for name, file in (("Nanum", "NanumGothic.ttf"), ("Nanum-Bold", "NanumGothicBold.ttf")):
        pdfmetrics.registerFont(TTFont(name, FONTS / file))
        pdfmetrics.registerFontFamily(name, name, name, name, name)


def main() -> None:
    register_fonts()
    for language, report in REPORTS.items():
        (FIXTURES / f"report.{language}.pdf").write_bytes(report_pdf(report))
    (FIXTURES / "no-unicode-map.ko.pdf").write_bytes(unreadable_pdf(REPORTS["ko"]))
    (FIXTURES / "running-lines.en.pdf").write_bytes(running_pdf(REPORTS["en"]))
    (FIXTURES / "blank-page.en.pdf").write_bytes(blank_pdf(REPORTS["en"]))
    (FIXTURES / "form.en.pdf").write_bytes(form_pdf())


if __name__ == "__main__":
    main()
