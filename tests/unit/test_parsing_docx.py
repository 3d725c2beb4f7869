"""DOCX: blocks, tables, properties and packages that are not documents."""

from datetime import UTC, datetime

import pytest

from schemas.document import Element, Metadata
from schemas.errors import ParseFailed, UnsupportedFormat
from tasks.parsing import office
from tests.unit.parsing_inputs import docx, package, paragraph

STYLES = """
<w:style w:styleId="H1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="Custom"><w:name w:val="Chapter"/><w:basedOn w:val="H1"/></w:style>
<w:style w:styleId="K2"><w:name w:val="제목 2"/></w:style>
<w:style w:styleId="Out"><w:name w:val="Out"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
<w:style w:styleId="Bullet"><w:name w:val="List Bullet"/>
<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>
<w:style w:styleId="Loop"><w:name w:val="Loop"/><w:basedOn w:val="Loop"/></w:style>
"""


def elements(body: str) -> tuple[Element, ...]:
    return office.parse(docx(body, styles=STYLES)).elements


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"


def table(*rows: list[str]) -> str:
    return "<w:tbl>" + "".join(f"<w:tr>{''.join(row)}</w:tr>" for row in rows) + "</w:tbl>"


def test_headings_follow_styles_and_outline_levels() -> None:
    styles = ["H1", "Custom", "K2", "Out", "Loop", "Missing"]
    assert [(e.kind, e.level) for e in elements("".join(paragraph("x", s) for s in styles))] == [
        ("heading", 1),
        ("heading", 1),
        ("heading", 2),
        ("heading", 3),
        ("text", 0),
        ("text", 0),
    ]


def test_blocks_stand_in_reading_order() -> None:
    body = (
        paragraph("before")
        + table([cell("a"), cell("b")], [cell("1"), cell("2")])
        + paragraph("after", "Bullet")
    )
    assert elements(body) == (
        Element("before"),
        Element("| a | b |\n| --- | --- |\n| 1 | 2 |", "table"),
        Element("- after", "list_item"),
    )


def test_merged_cells_keep_the_columns() -> None:
    body = table([cell("wide", '<w:gridSpan w:val="2"/>'), cell("c")], [cell("1"), cell("2"), cell("3")])
    assert elements(body)[0].text == "| wide |  | c |\n| --- | --- | --- |\n| 1 | 2 | 3 |"


def test_a_table_of_one_cell_is_a_frame() -> None:
    assert [e.kind for e in elements(table([cell("framed")]))] == ["text"]


def test_content_controls_text_boxes_and_insertions_are_read_and_deletions_not() -> None:
    box = f"<w:txbxContent>{paragraph('boxed')}</w:txbxContent>"
    body = (
        f"<w:sdt><w:sdtContent>{paragraph('control')}</w:sdtContent></w:sdt>"
        f"<w:p><w:r><w:t>anchor</w:t></w:r><mc:AlternateContent><mc:Choice>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:p>"
        "<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        "<w:r><w:br/><w:t>line</w:t><w:instrText>PAGE</w:instrText></w:r></w:p>"
    )
    assert [e.text for e in elements(body)] == ["control", "anchor", "boxed", "new\nline"]


def test_core_properties_are_metadata() -> None:
    core = (
        "<dc:title>제목</dc:title><dc:creator>Kim</dc:creator><cp:keywords>a; b</cp:keywords>"
        "<dcterms:created>2026-02-20T09:00:00Z</dcterms:created><dc:language>ko-KR</dc:language>"
    )
    assert office.parse(docx(paragraph("x"), core=core)).metadata == Metadata(
        title="제목",
        author="Kim",
        authored_at=datetime(2026, 2, 20, 9, tzinfo=UTC),
        language="ko",
        tags=("a", "b"),
    )


def test_a_document_that_declares_entities_is_refused() -> None:
    document = (
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><w:document xmlns:w='
        '"http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>a&x;b</w:t>'
        "</w:r></w:p></w:body></w:document>"
    )
    with pytest.raises(ParseFailed, match="declares XML entities"):
        office.parse(package({"word/document.xml": document}))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_package_is_refused(share: float) -> None:
    data = docx(paragraph("words " * 500))
    with pytest.raises(ParseFailed, match="damaged or cut off"):
        office.parse(data[: int(len(data) * share)])


def test_damaged_xml_is_refused() -> None:
    with pytest.raises(ParseFailed, match="damaged"):
        office.parse(docx("<w:p><w:r>"))


def test_an_archive_that_is_no_document_is_named() -> None:
    with pytest.raises(UnsupportedFormat, match="zip archive"):
        office.parse(package({"a.txt": "x"}))


def test_a_document_without_its_main_part_is_damaged() -> None:
    with pytest.raises(ParseFailed, match="main part is missing"):
        office.parse(package({"word/styles.xml": "<x/>"}))
