"""DOCX: blocks, tables, properties and packages that are not documents."""

from datetime import UTC, datetime

import pytest

from schemas.document import Element, Metadata
from schemas.errors import ParseFailed, UnsupportedFormat
from tasks.parsing import office
from tests.formats.build_text import FIXTURES
from tests.unit.parsing_inputs import MC, W, docx, package, paragraph

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


# --- numbers, notes, nesting -----------------------------------------------------------

NUMBERING = """
<w:abstractNum w:abstractNumId="7">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="ganada"/><w:lvlText w:val="%1.%2)"/></w:lvl>
</w:abstractNum>
<w:abstractNum w:abstractNumId="8">
<w:lvl w:ilvl="0"><w:start w:val="3"/><w:numFmt w:val="decimal"/><w:lvlText w:val="제%1조"/></w:lvl>
</w:abstractNum>
<w:abstractNum w:abstractNumId="9"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="•"/></w:lvl>
</w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num><w:num w:numId="2"><w:abstractNumId w:val="8"/></w:num>
<w:num w:numId="3"><w:abstractNumId w:val="9"/></w:num>
"""


def with_parts(body: str, **parts: str) -> list[Element]:
    """Elements of a document with more parts, each the inside of its root."""
    names = f'xmlns:w="{W}" xmlns:mc="{MC}"'
    written = {
        "word/document.xml": f"<w:document {names}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {names}>{STYLES}</w:styles>",
        **{f"word/{name}.xml": f"<w:{name} {names}>{inside}</w:{name}>" for name, inside in parts.items()},
    }
    return list(office.parse(package(written)).elements)


def numbered(text: str, number: int, level: int = 0, style: str = "") -> str:
    properties = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    return paragraph(text, style, properties)


def test_list_items_carry_the_number_that_readers_see() -> None:
    body = "".join(
        (
            numbered("a", 1), numbered("b", 1, 1), numbered("c", 1, 1), numbered("d", 1), numbered("e", 1, 1),
            numbered("f", 3), numbered("g", 0), numbered("h", 99),
        )
    )  # fmt: skip
    assert [e.text for e in with_parts(body, numbering=NUMBERING)] == [
        "1. a", "1.가) b", "1.나) c", "2. d", "2.가) e", "- f", "g", "- h",
    ]  # fmt: skip


def test_a_heading_keeps_a_number_that_is_its_name_and_no_other() -> None:
    body = numbered("목적", 2, 0, "H1") + numbered("정의", 2, 0, "H1") + numbered("Scope", 1, 0, "H1")
    assert [e.text for e in with_parts(body, numbering=NUMBERING)] == ["제3조 목적", "제4조 정의", "Scope"]


@pytest.mark.parametrize("number", ["99999999999999999999", "-1", "x", "²", ""])
def test_absurd_numbers_do_no_harm(number: str) -> None:
    numbering = (
        f'<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="{number}"><w:start w:val="{number}"/>'
        f'<w:numFmt w:val="upperRoman"/><w:lvlText w:val="%9%1%2"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num>'
    )
    properties = (
        f'<w:outlineLvl w:val="{number}"/><w:numPr><w:ilvl w:val="{number}"/><w:numId w:val="1"/></w:numPr>'
    )
    body = paragraph("a", "", properties) + table([cell("b", f'<w:gridSpan w:val="{number}"/>'), cell("c")])
    found = with_parts(body, numbering=numbering)
    assert "a" in found[0].text
    assert len(found[1].text) < 1000


def test_notes_stand_at_the_end_and_comments_nowhere() -> None:
    footnotes = (
        f'<w:footnote w:type="separator">{paragraph("---")}</w:footnote>'
        f'<w:footnote w:id="2">{paragraph("foot")}</w:footnote>'
    )
    found = with_parts(
        paragraph("body"),
        footnotes=footnotes,
        endnotes=f'<w:endnote w:id="1">{paragraph("end")}</w:endnote>',
        comments=f"<w:comment>{paragraph('comment')}</w:comment>",
    )
    assert [e.text for e in found] == ["body", "foot", "end"]


def test_a_table_in_a_cell_follows_as_a_table_and_a_frame_in_a_cell_is_its_text() -> None:
    inner = table([cell("x"), cell("y")], [cell("1"), cell("2")])
    frame = table([cell("framed")])
    body = table([f"<w:tc>{paragraph('a')}{inner}{paragraph('b')}</w:tc>", f"<w:tc>{frame}</w:tc>"])
    assert [e.text for e in elements(body)] == [
        "| a b | framed |\n| --- | --- |",
        "| x | y |\n| --- | --- |\n| 1 | 2 |",
    ]


def test_text_boxes_in_cells_are_read_once() -> None:
    box = f"<w:txbxContent>{paragraph('boxed')}</w:txbxContent>"
    both = f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback>"
    body = table([f"<w:tc><w:p><w:r><w:t>a</w:t></w:r>{both}</mc:AlternateContent></w:p></w:tc>", cell("b")])
    assert [e.text for e in elements(body)] == ["| a boxed | b |\n| --- | --- |"]


def test_the_table_of_contents_is_left_out() -> None:
    styles = '<w:style w:styleId="T1"><w:name w:val="toc 1"/></w:style>'
    body = f"<w:sdt><w:sdtContent>{paragraph('Chapter 3', 'T1')}</w:sdtContent></w:sdt>" + paragraph("text")
    assert [e.text for e in office.parse(docx(body, styles=styles)).elements] == ["text"]


def test_fields_show_their_result_and_embedded_documents_are_not_opened() -> None:
    body = (
        '<w:p><w:fldSimple w:instr="REF x"><w:r><w:t>result</w:t></w:r></w:fldSimple><w:r><w:fldChar/>'
        "<w:instrText>DATE</w:instrText></w:r><w:r><w:t> today</w:t></w:r></w:p>"
        '<w:altChunk w:val="rId9"/>'
    )
    assert [e.text for e in elements(body)] == ["result today"]


def test_the_document_is_found_where_the_package_says() -> None:
    parts = {
        "_rels/.rels": '<Relationships><Relationship Id="a" Type="http://x/officeDocument" '
        'Target="/word/document2.xml"/></Relationships>',
        "word/document2.xml": f'<w:document xmlns:w="{W}"><w:body>{paragraph("two")}</w:body></w:document>',
    }
    assert [e.text for e in office.parse(package(parts)).elements] == ["two"]


def test_strict_documents_are_read_as_others() -> None:
    strict = "http://purl.oclc.org/ooxml/wordprocessingml/main"
    document = f'<w:document xmlns:w="{strict}"><w:body>{paragraph("x", "H1")}</w:body></w:document>'
    styles = f'<w:styles xmlns:w="{strict}">{STYLES}</w:styles>'
    found = office.parse(package({"word/document.xml": document, "word/styles.xml": styles})).elements
    assert found == (Element("x", "heading", level=1),)


def test_the_date_is_the_one_of_the_last_change() -> None:
    core = (
        "<dcterms:created>2013-12-23T23:15:00Z</dcterms:created>"
        "<dcterms:modified>2026-02-20T09:00:00Z</dcterms:modified>"
    )
    found = office.parse(docx(paragraph("x"), core=core)).metadata.authored_at
    assert found == datetime(2026, 2, 20, 9, tzinfo=UTC)


@pytest.mark.parametrize("folder", ["ppt", "xl"])
def test_what_turns_out_to_be_another_document_is_read_as_that(folder: str) -> None:
    fixture = {"ppt": "report.en.pptx", "xl": "report.en.xlsx"}[folder]
    parsed = office.parse((FIXTURES / fixture).read_bytes())
    assert parsed.parser == {"ppt": "pptx", "xl": "spreadsheet"}[folder]
    assert parsed.elements


@pytest.mark.parametrize("depth", [60, 600, 5000])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("<w:sdt><w:sdtContent>", "</w:sdtContent></w:sdt>"),
        ("<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>"),
        ("<w:p><w:r><w:txbxContent>", "</w:txbxContent></w:r></w:p>"),
    ],
    ids=["controls", "frames", "text boxes"],
)
def test_deep_nesting_loses_no_text_silently(start: str, end: str, depth: int) -> None:
    try:
        found = elements(start * depth + paragraph("deep") + end * depth)
    except ParseFailed:
        assert depth > 600 or depth * start.count("<") > 2000
    else:
        assert "deep" in " ".join(e.text for e in found)
