"""EPUB: order of chapters, what is left out, DRM, damaged chapters."""

import pytest

from schemas.document import Metadata
from schemas.errors import EncryptedDocument, ParseFailed
from tasks.parsing import epub
from tests.unit.parsing_inputs import package


def book(
    *chapters: str, spine: str = "", guide: str = "", meta: str = "", more: dict[str, str] | None = None
) -> bytes:
    items = "".join(
        f'<item id="c{n}" href="text/c%20{n}.xhtml" media-type="application/xhtml+xml"/>'
        for n in range(len(chapters))
    )
    names = spine.split() or [f"c{n}" for n in range(len(chapters))]
    references = "".join(f'<itemref idref="{name}"/>' for name in names)
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/b.opf"/></rootfiles>'
        "</container>",
        "OPS/b.opf": '<package xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata>{meta}</metadata><manifest>{items}</manifest><spine>{references}</spine>{guide}</package>",
        **{f"OPS/text/c {n}.xhtml": f"<html><body>{body}</body></html>" for n, body in enumerate(chapters)},
    }
    return package(parts | (more or {}))


def texts(data: bytes) -> list[str]:
    return [e.text for e in epub.parse(data).elements]


def test_chapters_come_in_the_order_of_the_spine_each_once() -> None:
    assert texts(book("<p>a</p>", "<p>b</p>", spine="c1 c0 c1 none")) == ["b", "a"]


def test_tables_of_contents_are_left_out() -> None:
    guide = '<guide><reference type="toc" href="text/c%200.xhtml"/></guide>'
    assert texts(book("<p>Contents</p>", "<nav>links</nav><p>text</p>", guide=guide)) == ["text"]


def test_headers_of_chapters_and_notes_belong_to_the_text() -> None:
    body = "<header><h2>One</h2></header><p>text</p><aside epub:type='footnote'><p>note</p></aside>"
    assert texts(book(body)) == ["One", "text", "note"]


@pytest.mark.parametrize("tag", ["title", "script", "a", "div", "textarea"])
def test_a_self_closed_element_does_not_swallow_the_chapter(tag: str) -> None:
    assert texts(book(f"<{tag} id='x'/><p>text<br/>line</p>")) == ["text\nline"]


def test_metadata_comes_from_the_package_document() -> None:
    meta = (
        "<dc:title>책</dc:title><dc:creator>A</dc:creator><dc:creator>B</dc:creator><dc:date>2026-04-17</dc:date>"
        "<dc:language>ko-KR</dc:language><dc:subject>s</dc:subject><dc:publisher>P</dc:publisher>"
    )
    found = epub.parse(book("<p>x</p>", meta=meta)).metadata
    assert found == Metadata("책", "A, B", found.authored_at, "ko", ("s",), {"publisher": "P"})
    assert str(found.authored_at) == "2026-04-17 00:00:00+00:00"


def encryption(algorithm: str, uri: str) -> dict[str, str]:
    return {
        "META-INF/encryption.xml": '<encryption xmlns="x"><EncryptedData>'
        f'<EncryptionMethod Algorithm="{algorithm}"/>'
        f'<CipherData><CipherReference URI="{uri}"/></CipherData></EncryptedData></encryption>'
    }


def test_a_book_under_drm_is_encrypted() -> None:
    more = encryption("http://www.w3.org/2001/04/xmlenc#aes256-cbc", "OPS/text/c%200.xhtml")
    with pytest.raises(EncryptedDocument):
        epub.parse(book("\x01garbage", more=more))


@pytest.mark.parametrize(
    ("algorithm", "uri"),
    [("http://www.idpf.org/2008/embedding", "OPS/text/c%200.xhtml"), ("x#aes", "OPS/fonts/a.otf")],
)
def test_masked_fonts_are_no_drm(algorithm: str, uri: str) -> None:
    assert texts(book("<p>x</p>", more=encryption(algorithm, uri))) == ["x"]


def test_a_missing_chapter_is_told_and_the_others_are_read() -> None:
    data = book("<p>a</p>", "<p>b</p>")
    parsed = epub.parse(data.replace(b"OPS/text/c 0.xhtml", b"OPS/text/z 0.xhtml"))
    assert [e.text for e in parsed.elements] == ["b"]
    assert [problem.part for problem in parsed.problems] == ["chapter 1"]


def test_a_book_without_a_list_of_chapters_is_damaged() -> None:
    with pytest.raises(ParseFailed, match="list of chapters"):
        epub.parse(package({"mimetype": "application/epub+zip", "a.xhtml": "<p>x</p>"}))


def test_a_book_with_an_old_doctype_is_read() -> None:
    opf = '<!DOCTYPE package PUBLIC "+//ISBN//DTD OEB//EN" "http://127.0.0.1:9/oeb.dtd">'
    data = book("<p>x</p>")
    with_doctype = opf + epub.open_package(data).read("OPS/b.opf").decode()
    assert texts(book("<p>x</p>", more={"OPS/b.opf": with_doctype})) == ["x"]
