"""PPTX: order of slides, titles, bullets, charts, diagrams, notes, hostile decks."""

import pytest

from schemas.document import Element
from schemas.errors import DocumentError, ParseFailed
from tasks.parsing import pptx
from tests.unit.parsing_inputs import package

NS = (
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
    'xmlns:dgm="http://schemas.openxmlformats.org/drawingml/2006/diagram" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)


def rels(**targets: str) -> str:
    """Links by id, each ``kind target``."""
    lines = (
        f'<Relationship Id="{name}" Type="http://x/{link.split()[0]}" Target="{link.split()[1]}"/>'
        for name, link in targets.items()
    )
    return f'<Relationships xmlns="http://x">{"".join(lines)}</Relationships>'


def shape(text: str, placeholder: str | None = None, properties: str = "") -> str:
    ph = "" if placeholder is None else f'<p:ph type="{placeholder}"/>' if placeholder else "<p:ph/>"
    paragraphs = "".join(f"<a:p>{properties}<a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:sp><p:nvSpPr><p:nvPr>{ph}</p:nvPr></p:nvSpPr><p:txBody>{paragraphs}</p:txBody></p:sp>"


def deck(*slides: str, order: str = "", more: dict[str, str] | None = None) -> bytes:
    names = order.split() or [f"s{n}" for n in range(1, len(slides) + 1)]
    parts = {
        "ppt/presentation.xml": f"<p:presentation {NS}><p:sldIdLst>"
        + "".join(f'<p:sldId r:id="{name}"/>' for name in names)
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": rels(
            **{f"s{n}": f"slide slides/slide{n}.xml" for n in range(1, len(slides) + 1)}
        ),
    }
    for n, body in enumerate(slides, 1):
        parts[f"ppt/slides/slide{n}.xml"] = (
            f"<p:sld {NS}><p:cSld><p:spTree>{body}</p:spTree></p:cSld></p:sld>"
        )
    return package(parts | (more or {}))


def texts(data: bytes) -> list[str]:
    return [e.text for e in pptx.parse(data).elements]


def test_slides_come_in_the_decks_order_and_are_pages() -> None:
    data = deck(shape("first", "title"), shape("second", "title"), order="s2 s1")
    assert pptx.parse(data).elements == (
        Element("second", "heading", level=1, page=1),
        Element("first", "heading", level=2, page=2),
    )


def test_a_slide_that_is_listed_twice_is_read_once() -> None:
    assert texts(deck(shape("a"), order="s1 s1 s1")) == ["a"]


def test_the_title_is_read_before_what_stands_above_it_in_the_drawing_order() -> None:
    assert texts(deck(shape("logo") + shape("Title", "title"))) == ["Title", "logo"]


def test_what_stands_on_every_slide_is_left_out() -> None:
    body = "".join(shape(kind, kind) for kind in ("dt", "ftr", "sldNum")) + shape("kept")
    assert texts(deck(body)) == ["kept"]


def test_bullets_are_list_items_where_the_slide_or_its_layout_sets_them() -> None:
    none = "<a:pPr><a:buNone/></a:pPr>"
    numbered = '<a:pPr><a:buAutoNum type="arabicPeriod"/></a:pPr>'
    body = (
        shape("content", "") + shape("prose", "body", none) + shape("box") + shape("one\ntwo", None, numbered)
    )
    assert [(e.kind, e.text) for e in pptx.parse(deck(body)).elements] == [
        ("list_item", "- content"),
        ("text", "prose"),
        ("text", "box"),
        ("list_item", "1. one"),
        ("list_item", "2. two"),
    ]


def test_groups_are_opened_and_fallback_copies_left_out() -> None:
    inner = shape("inner")
    both = f"<mc:AlternateContent><mc:Choice>{inner}</mc:Choice><mc:Fallback>{inner}</mc:Fallback>"
    assert texts(deck(f"<p:grpSp><p:grpSp>{both}</mc:AlternateContent></p:grpSp></p:grpSp>")) == ["inner"]


def test_tables_are_tables() -> None:
    cell = "<a:tc><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>"
    rows = "".join(f"<a:tr>{cell.format(a)}{cell.format(b)}</a:tr>" for a, b in (("k", "v"), ("가", "1")))
    body = f"<p:graphicFrame><a:graphic><a:tbl>{rows}</a:tbl></a:graphic></p:graphicFrame>"
    assert texts(deck(body)) == ["| k | v |\n| --- | --- |\n| 가 | 1 |"]


CHART = (
    f"<c:chartSpace {NS}><c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Sales</a:t></a:r></a:p></c:rich>"
    "</c:tx></c:title><c:plotArea><c:barChart><c:ser><c:tx><c:strRef><c:strCache>"
    "<c:pt idx='0'><c:v>2025</c:v></c:pt>"
    "</c:strCache></c:strRef></c:tx><c:cat><c:strRef><c:strCache><c:pt idx='0'><c:v>서울</c:v></c:pt>"
    "<c:pt idx='1'><c:v>부산</c:v></c:pt></c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache>"
    "<c:pt idx='0'><c:v>0.30000000000000004</c:v></c:pt><c:pt idx='1'><c:v>7.0</c:v></c:pt></c:numCache>"
    "</c:numRef></c:val></c:ser></c:barChart></c:plotArea></c:chart></c:chartSpace>"
)


def test_charts_and_diagrams_give_their_words_and_values_once() -> None:
    chart = '<p:graphicFrame><c:chart r:id="r1"/></p:graphicFrame>'
    diagram = '<p:graphicFrame><dgm:relIds r:dm="r2"/></p:graphicFrame>'
    point = "<dgm:pt{}><dgm:t><a:p><a:r><a:t>{}</a:t></a:r></a:p></dgm:t></dgm:pt>"
    points = point.format("", "계획") + point.format(" type='pres'", "no")
    data = deck(
        chart + chart + diagram,
        more={
            "ppt/slides/_rels/slide1.xml.rels": rels(r1="chart ../charts/c.xml", r2="d ../diagrams/d.xml"),
            "ppt/charts/c.xml": CHART,
            "ppt/diagrams/d.xml": f"<dgm:dataModel {NS}>{points}</dgm:dataModel>",
        },
    )
    assert texts(data) == ["Sales", "|  | 2025 |\n| --- | --- |\n| 서울 | 0.3 |\n| 부산 | 7 |", "- 계획"]


def test_speaker_notes_follow_their_slide() -> None:
    notes = shape("say\nthis", "body") + shape("1", "sldNum")
    data = deck(
        shape("a"),
        shape("b"),
        more={
            "ppt/slides/_rels/slide1.xml.rels": rels(n="notesSlide ../notesSlides/n.xml"),
            "ppt/notesSlides/n.xml": f"<p:notes {NS}>" + notes + "</p:notes>",
        },
    )
    assert pptx.parse(data).elements[1] == Element("Notes: say\nthis", page=1)
    assert texts(data) == ["a", "Notes: say\nthis", "b"]


def test_a_damaged_slide_is_told_and_the_others_are_read() -> None:
    data = deck(shape("a"), shape("b"), more={"ppt/slides/slide1.xml": "<broken"})
    parsed = pptx.parse(data)
    assert [(e.text, e.page) for e in parsed.elements] == [("b", 2)]
    assert [problem.part for problem in parsed.problems] == ["slide 1"]


def test_links_to_strange_places_give_no_text() -> None:
    data = deck(
        shape("a"),
        more={
            "ppt/_rels/presentation.xml.rels": rels(
                s1="slide slides/slide1.xml", s2="slide ../../../etc/passwd"
            ),
            "ppt/presentation.xml": f'<p:presentation {NS}><p:sldId r:id="s1"/><p:sldId r:id="s2"/>'
            '<p:sldId r:id="none"/></p:presentation>',
        },
    )
    assert texts(data) == ["a"]


def test_slides_without_an_order_are_a_damage() -> None:
    with pytest.raises(ParseFailed, match="order of its slides"):
        pptx.parse(deck(shape("a"), more={"ppt/presentation.xml": f"<p:presentation {NS}/>"}))


@pytest.mark.parametrize("level", ["99999999999999999999", "-1", "x", "²", "8"])
def test_absurd_levels_do_no_harm(level: str) -> None:
    data = deck(shape("a", None, f'<a:pPr lvl="{level}"><a:buChar/></a:pPr>'))
    assert texts(data) == ["- a"]


def test_groups_nested_without_end_are_read_or_refused() -> None:
    depth = 5000
    data = deck("<p:grpSp>" * depth + shape("deep") + "</p:grpSp>" * depth)
    try:
        found = pptx.parse(data)
    except DocumentError:
        return
    assert found.problems
