"""OpenDocument text, presentations and sheets: structure, notes, repeats, hostile counts."""

import pytest

from schemas.document import Element
from schemas.errors import DocumentError, EncryptedDocument, ParseFailed, UnsupportedFormat
from tasks.parsing import opendocument, spreadsheet
from tasks.parsing.sniff import choose_parser
from tests.formats.build_office import ODF
from tests.unit.parsing_inputs import package


def content(kind: str, body: str, styles: str = "") -> dict[str, str]:
    return {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f"<office:document-content {ODF}><office:automatic-styles>{styles}"
        f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}></office:body>"
        "</office:document-content>",
    }


def parse(body: str, kind: str = "text", styles: str = "") -> tuple[Element, ...]:
    return opendocument.parse(package(content(kind, body, styles))).elements


def texts(body: str, kind: str = "text", styles: str = "") -> list[str]:
    return [e.text for e in parse(body, kind, styles)]


def cell(text: str, attributes: str = "") -> str:
    return f"<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>"


def sheet(*rows: str, name: str = "S") -> str:
    body = "".join(
        row if row.startswith("<table:table-row") else f"<table:table-row>{row}</table:table-row>"
        for row in rows
    )
    return f'<table:table table:name="{name}">{body}</table:table>'


def test_headings_lists_and_sections_come_in_order() -> None:
    styles = (
        '<text:list-style style:name="L"><text:list-level-style-number text:level="1" '
        'style:num-format="1"/></text:list-style>'
        '<style:style style:name="P1" style:parent-style-name="Title"/>'
    )
    item = "<text:list-item><text:p>{}</text:p>{}</text:list-item>"
    nested = f"<text:list>{item.format('inner', '')}</text:list>"
    body = (
        '<text:p text:style-name="P1">제목</text:p><text:section><text:h text:outline-level="2">H</text:h>'
        f'<text:list text:style-name="L">{item.format("one", nested)}{item.format("two", "")}</text:list>'
        "</text:section>"
    )
    assert [(e.kind, e.level, e.text) for e in parse(body, styles=styles)] == [
        ("heading", 1, "제목"),
        ("heading", 2, "H"),
        ("list_item", 0, "1. one"),
        ("list_item", 0, "- inner"),
        ("list_item", 0, "2. two"),
    ]


def test_spaces_tabs_and_breaks_are_text_and_line_ends_of_the_xml_are_not() -> None:
    body = (
        "<text:p>a\n  b<text:s text:c='2'/>c<text:tab/>d<text:line-break/><text:span>e</text:span> f</text:p>"
    )
    assert texts(body) == ["a b  c\td\ne f"]


def test_deleted_text_comments_and_indexes_are_left_out() -> None:
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        "<text:table-of-content><text:index-body><text:p>H 1</text:p></text:index-body>"
        "</text:table-of-content>"
        "<text:p>kept<office:annotation><text:p>comment</text:p></office:annotation> too</text:p>"
    )
    assert texts(body) == ["kept too"]


def test_notes_stand_at_the_end() -> None:
    note = (
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>note</text:p>"
        "</text:note-body></text:note>"
    )
    assert texts(f"<text:p>a{note}b</text:p>{sheet(cell('c' + note) + cell('d'))}<text:p>e</text:p>") == [
        "ab",
        "| c | d |\n| --- | --- |",
        "e",
        "note",
        "note",
    ]


def test_text_boxes_follow_their_paragraph() -> None:
    box = "<draw:frame><draw:text-box><text:p>boxed</text:p></draw:text-box></draw:frame>"
    assert texts(f"<text:p>anchor{box}</text:p>") == ["anchor", "boxed"]


def test_a_table_in_a_cell_follows_as_a_table() -> None:
    inner = sheet(cell("x") + cell("y"))
    body = sheet(f"<table:table-cell><text:p>a</text:p>{inner}</table:table-cell>" + cell("b"), cell("1"))
    assert texts(body) == ["| a | b |\n| --- | --- |\n| 1 |  |", "| x | y |\n| --- | --- |"]


def test_covered_cells_keep_the_columns() -> None:
    rows = cell("wide", 'table:number-columns-spanned="2"') + "<table:covered-table-cell/>" + cell("c")
    assert texts(sheet(rows, cell("1") + cell("2") + cell("3"))) == [
        "| wide |  | c |\n| --- | --- | --- |\n| 1 | 2 | 3 |"
    ]


def test_sheets_show_dates_as_iso_numbers_as_shown_and_errors_not_at_all() -> None:
    rows = (
        cell("Day") + cell("Sum") + cell("Bad"),
        cell("17.04.26", 'office:date-value="2026-04-17T00:00:00"')
        + cell("1,234.50 €", 'office:value="1234.5"')
        + cell("#REF!"),
    )
    assert parse(sheet(*rows, name="Umsatz"), "spreadsheet") == (
        Element("Umsatz", "heading", level=2, page=1),
        Element("| Day | Sum | Bad |\n| --- | --- | --- |\n| 2026-04-17 | 1,234.50 € |  |", "table", page=1),
    )


def test_repeated_cells_and_rows_stand_as_often_as_they_are_shown() -> None:
    rows = (
        cell("a", 'table:number-columns-repeated="2"') + cell("b"),
        '<table:table-row table:number-rows-repeated="2">'
        f"{cell('1') + cell('2') + cell('3')}</table:table-row>",
    )
    assert texts(sheet(*rows), "spreadsheet")[1] == (
        "| a | a | b |\n| --- | --- | --- |\n| 1 | 2 | 3 |\n| 1 | 2 | 3 |"
    )


@pytest.mark.parametrize("kind", ["text", "spreadsheet"])
def test_repeats_without_end_stand_once_and_are_told(kind: str) -> None:
    row = cell("x", 'table:number-columns-repeated="999999999"') + cell("y")
    many = f'<table:table-row table:number-rows-repeated="999999999">{row}</table:table-row>'
    parsed = opendocument.parse(package(content(kind, sheet(*[many] * 200))))
    assert sum(len(e.text) for e in parsed.elements) < 20_000_000
    assert [problem.part for problem in parsed.problems] == ["tables"]


def test_blank_rows_repeated_to_the_end_of_a_sheet_cost_nothing() -> None:
    blank = '<table:table-row table:number-rows-repeated="1048576"><table:table-cell/></table:table-row>'
    assert texts(sheet(cell("a"), blank, cell("b")), "spreadsheet") == ["S", "a", "b"]


@pytest.mark.parametrize("count", ["99999999999999999999", "-5", "0", "x", "²", ""])
def test_absurd_counts_do_no_harm(count: str) -> None:
    body = (
        f'<text:p>a<text:s text:c="{count}"/>b</text:p><text:h text:outline-level="{count}">h</text:h>'
        f'<text:list><text:list-item text:start-value="{count}"><text:p>i</text:p></text:list-item>'
        "</text:list>" + sheet(cell("x", f'table:number-columns-repeated="{count}"') + cell("y"))
    )
    found = parse(body)
    assert [e.kind for e in found] == ["text", "heading", "list_item", "table"]
    assert all(len(e.text) < 200 for e in found)


def test_slides_are_pages_with_titles_first_and_notes_last() -> None:
    def frame(kind: str, text: str) -> str:
        return (
            f'<draw:frame presentation:class="{kind}"><draw:text-box><text:p>{text}</text:p></draw:text-box>'
            "</draw:frame>"
        )

    notes = f"<presentation:notes>{frame('notes', 'say')}</presentation:notes>"
    slide = (
        f"<draw:page>{notes}{frame('outline', 'body')}{frame('title', 'T')}{frame('footer', 'f')}</draw:page>"
    )
    assert parse(slide + slide, "presentation")[:4] == (
        Element("T", "heading", level=1, page=1),
        Element("Notes: say", page=1),
        Element("body", page=1),
        Element("T", "heading", level=2, page=2),
    )


def test_an_encrypted_document_needs_its_password() -> None:
    manifest = (
        '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><m:file-entry '
        'm:full-path="content.xml"><m:encryption-data/></m:file-entry></m:manifest>'
    )
    parts = {"content.xml": "\x01\x02garbage", "META-INF/manifest.xml": manifest}
    with pytest.raises(EncryptedDocument):
        opendocument.parse(package(parts))


def test_content_without_a_body_is_damaged() -> None:
    with pytest.raises(ParseFailed, match="no body"):
        opendocument.parse(package({"content.xml": f"<office:document-content {ODF}/>"}))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("<text:section>", "</text:section>"),
        ("<text:list><text:list-item>", "</text:list-item></text:list>"),
        ("<text:p><draw:frame><draw:text-box>", "</draw:text-box></draw:frame></text:p>"),
        (
            "<table:table><table:table-row><table:table-cell>",
            "</table:table-cell></table:table-row></table:table>",
        ),
    ],
    ids=["sections", "lists", "text boxes", "frames"],
)
@pytest.mark.parametrize("depth", [60, 400, 3000])
def test_deep_nesting_loses_no_text_silently(start: str, end: str, depth: int) -> None:
    try:
        found = texts(start * depth + "<text:p>deep</text:p>" + end * depth)
    except DocumentError:
        assert depth == 3000 or "table" in start or "list" in start or "box" in start
    else:
        assert "deep" in " ".join(found)


def flat(kind: str, body: str, head: str = "") -> bytes:
    mime = f"application/vnd.oasis.opendocument.{kind}"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<office:document {ODF} office:version="1.3" '
        f'office:mimetype="{mime}">{head}<office:body><office:{kind}>{body}</office:{kind}></office:body>'
        "</office:document>"
    ).encode()


def test_a_flat_document_is_read_as_a_packed_one() -> None:
    meta = (
        "<office:meta><dc:title>T</dc:title><dc:creator>A</dc:creator>"
        "<dc:date>2026-04-17T00:00:00</dc:date></office:meta>"
    )
    style = (
        "<office:automatic-styles><style:style style:name='P1' style:parent-style-name='Title'/>"
        "</office:automatic-styles>"
    )
    body = '<text:p text:style-name="P1">제목</text:p><text:p>word</text:p>'
    parsed = opendocument.parse(flat("text", body, meta + style))
    assert [(e.kind, e.text) for e in parsed.elements] == [("heading", "제목"), ("text", "word")]
    assert (parsed.metadata.title, parsed.metadata.author) == ("T", "A")
    assert parsed.metadata.authored_at is not None
    assert parsed.mime.endswith("opendocument.text-flat-xml")


@pytest.mark.parametrize("suffix", ["fodt", "xml", "txt", ""])
@pytest.mark.parametrize(
    ("kind", "parser"),
    [("text", "opendocument"), ("presentation", "opendocument"), ("spreadsheet", "spreadsheet")],
)
def test_a_flat_document_is_told_by_its_root(kind: str, parser: str, suffix: str) -> None:
    data = flat(kind, "", "<!-- x -->")
    assert choose_parser(data, f"a.{suffix}") == parser
    assert choose_parser(data.decode().encode("utf-16"), f"a.{suffix}") == parser


def test_a_flat_sheet_is_a_sheet_and_not_records_of_xml() -> None:
    table = sheet(cell("a") + cell("b"), cell("c") + cell("d"))
    parsed = spreadsheet.parse(b"\xef\xbb\xbf" + flat("spreadsheet", table))
    assert [e.text for e in parsed.elements] == ["S", "| a | b |\n| --- | --- |\n| c | d |"]


def test_a_flat_document_that_breaks_off_gives_what_is_there_and_says_so() -> None:
    whole = flat("text", "<text:p>kept</text:p><text:p>lost</text:p>")
    parsed = opendocument.parse(whole[: whole.index(b"lost")])
    assert [e.text for e in parsed.elements] == ["kept"]
    assert [problem.part for problem in parsed.problems] == ["end of the document"]


def test_a_flat_document_with_entities_is_refused() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aa">]>' + flat("text", "<text:p>&a;</text:p>").partition(b"\n")[2]
    with pytest.raises(ParseFailed, match="entities"):
        opendocument.parse(bomb)


def test_a_drawing_is_refused_with_a_way_out_whatever_its_name() -> None:
    for data in (flat("graphics", ""), package(content("graphics", ""))):
        for name in ("a.odg", "a.odt", "a.zip", "a"):
            with pytest.raises(UnsupportedFormat, match=r"ODG drawing.*PDF"):
                choose_parser(data, name)
