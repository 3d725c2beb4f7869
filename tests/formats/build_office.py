"""Write the report in the office formats and as a book: `python -m tests.formats.build_office`.

The files of Microsoft's formats come from the libraries that people use to write them, so that
the parsers meet XML that was not written for them; the others are written by hand.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from html import escape

from tests.formats.build_text import FIXTURES
from tests.formats.source import REPORTS, Report

DAY = (2026, 4, 17, 0, 0, 0)
ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{space}:1.0"'
    for name, space in (
        ("office", "office"), ("text", "text"), ("table", "table"), ("style", "style"),
        ("draw", "drawing"), ("presentation", "presentation"), ("meta", "meta"),
    )
) + ' xmlns:dc="http://purl.org/dc/elements/1.1/"'  # fmt: skip


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """A package of the parts in order, each with the same time; a `mimetype` is not compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in parts.items():
            method = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, DAY), part, method, 9)
    return buffer.getvalue()


def repacked(data: bytes) -> bytes:
    """The same package with fixed times."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return zipped({name: archive.read(name) for name in archive.namelist()})


def docx(report: Report) -> bytes:
    from docx import Document

    document = Document()
    document.add_heading(report.title, 0)
    for section in report.sections:
        document.add_heading(section.title, section.level)
        for paragraph in section.paragraphs:
            document.add_paragraph(paragraph)
        for item in section.items:
            document.add_paragraph(item, "List Bullet")
        if section.table:
            table = document.add_table(len(section.table), len(section.table[0]), "Table Grid")
            for cells, row in zip(section.table, table.rows, strict=True):
                for text, cell in zip(cells, row.cells, strict=True):
                    cell.text = text
    _set_core(document.core_properties, report)
    buffer = io.BytesIO()
    document.save(buffer)
    return repacked(buffer.getvalue())


def pptx(report: Report) -> bytes:
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    cover = deck.slides.add_slide(deck.slide_layouts[0])
    cover.shapes.title.text = report.title
    for section in report.sections:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = section.title
        frame = slide.placeholders[1].text_frame
        frame.text = (section.paragraphs + section.items)[0]
        for text in (section.paragraphs + section.items)[1:]:
            frame.add_paragraph().text = text
        if section.table:
            size = (Inches(1), Inches(3), Inches(8), Inches(2))
            shape = slide.shapes.add_table(len(section.table), len(section.table[0]), *size)
            for cells, row in zip(section.table, shape.table.rows, strict=True):
                for text, cell in zip(cells, row.cells, strict=True):
                    cell.text = text
    _set_core(deck.core_properties, report)
    buffer = io.BytesIO()
    deck.save(buffer)
    return repacked(buffer.getvalue())


def _set_core(core, report: Report) -> None:
    core.title, core.author, core.keywords = report.title, report.author, "; ".join(report.keywords)
    core.comments = ""
    core.created = core.modified = report.authored_at


def xlsx(report: Report) -> bytes:
    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True})
    book.set_properties(
        {
            "title": report.title,
            "author": report.author,
            "keywords": "; ".join(report.keywords),
            "created": report.authored_at,
        }
    )
    for number, section in enumerate(report.sections):
        sheet = book.add_worksheet(section.title)
        for place, row in enumerate(sheet_rows(report, number)):
            sheet.write_row(place, 0, row)
    book.close()
    return repacked(buffer.getvalue())


def sheet_rows(report: Report, number: int) -> list[tuple[str, ...]]:
    """Rows of the sheet for a section: the report's title stands on the first."""
    section = report.sections[number]
    rows: list[tuple[str, ...]] = [(report.title,), ()] if number == 0 else []
    for text in (*section.paragraphs, *section.items):
        rows += [(text,), ()]
    return [*rows, *section.table]


def _odf(kind: str, body: str, report: Report, styles: str = "") -> bytes:
    mime = f"application/vnd.oasis.opendocument.{kind}"
    tag = "text" if kind == "text" else kind
    keywords = "".join(f"<meta:keyword>{escape(word)}</meta:keyword>" for word in report.keywords)
    day, title = report.authored_at.date(), escape(report.title)
    return zipped(
        {
            "mimetype": mime,
            "content.xml": f"<office:document-content {ODF}><office:automatic-styles>{styles}"
            f"</office:automatic-styles><office:body><office:{tag}>{body}</office:{tag}></office:body>"
            "</office:document-content>",
            "meta.xml": f"<office:document-meta {ODF}><office:meta><dc:title>{title}</dc:title>"
            f"<meta:initial-creator>{escape(report.author)}</meta:initial-creator><dc:date>{day}T00:00:00"
            f"</dc:date>{keywords}</office:meta></office:document-meta>",
        }
    )


def _odf_table(rows: list[tuple[str, ...]], name: str = "") -> str:
    lines = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    return f'<table:table table:name="{escape(name)}"><table:table-column/>{lines}</table:table>'


def odt(report: Report) -> bytes:
    body = [f'<text:h text:outline-level="1">{escape(report.title)}</text:h>']
    for section in report.sections:
        body.append(f'<text:h text:outline-level="{section.level}">{escape(section.title)}</text:h>')
        body += [f"<text:p>{escape(paragraph)}</text:p>" for paragraph in section.paragraphs]
        items = (f"<text:list-item><text:p>{escape(i)}</text:p></text:list-item>" for i in section.items)
        body += ["<text:list>", *items, "</text:list>"] if section.items else []
        body += [_odf_table(list(section.table), "T")] if section.table else []
    return _odf("text", "".join(body), report)


def ods(report: Report) -> bytes:
    sheets = (_odf_table(sheet_rows(report, n), s.title) for n, s in enumerate(report.sections))
    return _odf("spreadsheet", "".join(sheets), report)


def odp(report: Report) -> bytes:
    pages = [_odp_page(report.title, "", 1)]
    for number, section in enumerate(report.sections, 2):
        text = "".join(f"<text:p>{escape(paragraph)}</text:p>" for paragraph in section.paragraphs)
        items = (f"<text:list-item><text:p>{escape(i)}</text:p></text:list-item>" for i in section.items)
        text += f"<text:list>{''.join(items)}</text:list>" if section.items else ""
        table = f"<draw:frame>{_odf_table(list(section.table))}</draw:frame>" if section.table else ""
        outline = '<draw:frame presentation:class="outline"><draw:text-box>'
        pages.append(_odp_page(section.title, f"{outline}{text}</draw:text-box></draw:frame>{table}", number))
    return _odf("presentation", "".join(pages), report)


def flat_odf(data: bytes) -> bytes:
    """The document of a package as one XML file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        mime, content, meta = (
            archive.read(name).decode() for name in ("mimetype", "content.xml", "meta.xml")
        )
    body = "".join(re.sub(r"</?office:document-\w+[^>]*>", "", part) for part in (meta, content))
    start = f'<?xml version="1.0" encoding="UTF-8"?>\n<office:document {ODF} office:version="1.3"'
    return f'{start} office:mimetype="{mime}">\n{body}</office:document>\n'.encode()


def _odp_page(title: str, body: str, number: int) -> str:
    return (
        f'<draw:page draw:name="page{number}">{body}<draw:frame presentation:class="title"><draw:text-box>'
        f"<text:p>{escape(title)}</text:p></draw:text-box></draw:frame>"
        '<draw:frame presentation:class="footer"><draw:text-box><text:p>Footer</text:p></draw:text-box>'
        "</draw:frame><presentation:notes><draw:frame presentation:class=\"notes\"><draw:text-box><text:p>"
        f"{number}. page</text:p></draw:text-box></draw:frame></presentation:notes></draw:page>"
    )  # fmt: skip


def epub(report: Report, language: str) -> bytes:
    chapters = {"cover.xhtml": f"<h1>{escape(report.title)}</h1>"}
    for number, section in enumerate(report.sections, 1):
        body = [f"<h{section.level}>{escape(section.title)}</h{section.level}>"]
        body += [f"<p>{escape(paragraph)}</p>" for paragraph in section.paragraphs]
        items = (f"<li>{escape(item)}</li>" for item in section.items)
        body += ["<ul>", *items, "</ul>"] if section.items else []
        rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in section.table)
        body += ["<table>", *(f"<tr>{row}</tr>" for row in rows), "</table>"] if section.table else []
        chapters[f"chapter{number}.xhtml"] = "".join(body)
    links = "".join(f'<li><a href="{name}">{name}</a></li>' for name in chapters)
    chapters["nav.xhtml"] = f"<h1>Contents</h1><ol>{links}</ol>"
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
            "OEBPS/book.opf": _opf(report, language, list(chapters)),
            **{f"OEBPS/{name}": _chapter(body) for name, body in chapters.items()},
        }
    )


def _opf(report: Report, language: str, names: list[str]) -> str:
    subjects = "".join(f"<dc:subject>{escape(word)}</dc:subject>" for word in report.keywords)
    items = "".join(
        f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"'
        + (' properties="nav"/>' if name == "nav.xhtml" else "/>")
        for name in names
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in ("nav.xhtml", *names[:-1]))
    return (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>{escape(report.title)}</dc:title><dc:creator>{escape(report.author)}</dc:creator>"
        f"<dc:date>{report.authored_at.date()}</dc:date><dc:language>{language}</dc:language>{subjects}"
        f"</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )


def _chapter(body: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml">'
        f'<head><title/></head><body><a id="top"/>{body}</body></html>'
    )


def main() -> None:
    for language, report in REPORTS.items():
        files = {
            "docx": docx(report),
            "pptx": pptx(report),
            "xlsx": xlsx(report),
            "odt": odt(report),
            "ods": ods(report),
            "fodt": flat_odf(odt(report)),
            "fods": flat_odf(ods(report)),
            "epub": epub(report, language),
        }
        for suffix, data in files.items():
            (FIXTURES / f"report.{language}.{suffix}").write_bytes(data)
        # A presentation is not called a report: ODT and ODP share a parser, and only slides are pages.
        (FIXTURES / f"deck.{language}.odp").write_bytes(odp(report))
        (FIXTURES / f"deck.{language}.fodp").write_bytes(flat_odf(odp(report)))


if __name__ == "__main__":
    main()
