"""Packages: limits, hostile XML, links, and what is left of damaged ones."""

import io
import struct
import zipfile

import pytest

from schemas.errors import EncryptedDocument, ParseFailed
from tasks.parsing import damaged_package, office
from tasks.parsing.package import open_package, parse_xml, resolve
from tests.unit.parsing_inputs import docx, package, paragraph

BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><r x="&b;"/>'


@pytest.mark.parametrize(
    "data",
    [
        BOMB.encode(),
        BOMB.encode("utf-16"),
        BOMB.encode("utf-16-le"),
        BOMB.encode("utf-32"),
        b"\xef\xbb\xbf" + BOMB.encode(),
        b'<?xml version="1.0" encoding="utf-7"?>' + BOMB.replace("<!", "+ADwAIQ-").encode(),
        b'<?xml version="1.0" encoding="iso-2022-kr"?>' + BOMB.encode(),
    ],
    ids=["utf-8", "utf-16", "utf-16 without mark", "utf-32", "mark", "utf-7", "iso-2022-kr"],
)
def test_xml_that_declares_entities_is_refused_in_every_encoding(data: bytes) -> None:
    with pytest.raises(ParseFailed):
        parse_xml(data, "part")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp949", "euc-kr"])
def test_xml_is_read_in_the_encoding_that_it_declares(encoding: str) -> None:
    data = f'<?xml version="1.0" encoding="{encoding}"?><r>가나다</r>'.encode(encoding)
    assert parse_xml(data, "part").text == "가나다"


def test_a_doctype_without_entities_is_no_bomb() -> None:
    assert parse_xml(b'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><r>a</r>', "part").text == "a"


def test_xml_nested_without_end_is_refused() -> None:
    with pytest.raises(ParseFailed, match="not well-formed"):
        parse_xml(b"<a>" * 100_000, "part")


def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    data = package({"word/document.xml": "<a>" + " " * (20 * 2**20) + "</a>"})
    with pytest.raises(ParseFailed, match="decompression bomb"):
        open_package(data).read("word/document.xml")


def test_a_part_that_lies_about_its_size_gives_no_more_than_it_says() -> None:
    data = bytearray(package({"a.xml": "x" * 100_000}))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    with pytest.raises(ParseFailed, match="cannot be unpacked"):
        open_package(bytes(data)).read("a.xml")


def test_what_is_read_of_one_file_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.parsing.package.MAX_TOTAL_BYTES", 150)
    opened = open_package(package({"a": "x" * 100, "b": "y" * 100}))
    assert len(opened.read("a")) == 100
    with pytest.raises(ParseFailed, match="more than is read of one file"):
        opened.read("b")


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.parsing.package.MAX_MEMBERS", 3)
    with pytest.raises(ParseFailed, match="4 members"):
        open_package(package(dict.fromkeys("abcd", "x")))


def test_an_encrypted_member_needs_a_password() -> None:
    data = bytearray(docx(paragraph("x")))
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 8] |= 1
        at = data.find(b"PK\x01\x02", at + 4)
    with pytest.raises(EncryptedDocument):
        office.parse(bytes(data))


def test_members_are_found_whatever_their_case_and_slashes() -> None:
    opened = open_package(package({"\\Word\\Document.xml": "<a/>"}))
    assert "word/document.xml" in opened
    assert opened.xml("/word/DOCUMENT.xml").tag == "a"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("slide1.xml", "ppt/slides/slide1.xml"),
        ("../media/a%20b.xml", "ppt/media/a b.xml"),
        ("/ppt/x.xml", "ppt/x.xml"),
        ("../../../../../etc/passwd", "etc/passwd"),
        ("..\\..\\x.xml", "x.xml"),
        ("", "ppt/slides"),
    ],
)
def test_links_never_leave_the_package(target: str, name: str) -> None:
    assert resolve("ppt/slides/slide9.xml", target) == name


def test_damage_to_a_part_that_may_be_missing_is_noted() -> None:
    parts = {"word/document.xml": _document("words"), "word/styles.xml": "<broken"}
    parsed = office.parse(package(parts))
    assert [e.text for e in parsed.elements] == ["words"]
    assert [problem.part for problem in parsed.problems] == ["word/styles.xml"]


# --- damaged packages ------------------------------------------------------------------


def _document(*texts: str) -> str:
    body = "".join(paragraph(text) for text in texts)
    return (
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        f"{body}</w:body></w:document>"
    )


def _long_docx() -> bytes:
    return docx("".join(paragraph(f"Satz {n * n * 7919} {n}") for n in range(3000)))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_of_a_file_cut_off_the_text_before_the_cut_is_read_and_the_loss_told(share: float) -> None:
    data = _long_docx()
    parsed = damaged_package.parse_docx(data[: int(len(data) * share)])
    texts = [e.text for e in parsed.elements]
    assert len(texts) > 2500 * share
    assert texts[:-1] == [f"Satz {n * n * 7919} {n}" for n in range(len(texts) - 1)]
    assert [(p.part, p.error) for p in parsed.problems] == [("document", "ParseFailed")]
    assert "damaged" in parsed.problems[0].message


def test_of_a_part_with_damage_inside_the_text_before_it_is_read() -> None:
    data = bytearray(_long_docx())
    middle = data.find(b"word/document.xml") + 8000
    data[middle : middle + 64] = bytes(64)
    parsed = damaged_package.parse_docx(bytes(data))
    assert len(parsed.elements) > 100
    assert parsed.elements[5].text == f"Satz {25 * 7919} 5"
    assert parsed.problems


def test_a_whole_file_read_without_structure_has_no_problem() -> None:
    parsed = damaged_package.parse_docx(docx(paragraph("a", "H1") + paragraph("나")))
    assert [e.text for e in parsed.elements] == ["a", "나"]
    assert parsed.problems == ()


def test_a_text_box_is_not_read_twice_without_structure() -> None:
    box = f"<w:txbxContent>{paragraph('boxed')}</w:txbxContent>"
    both = f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback>"
    parsed = damaged_package.parse_docx(docx(f"<w:p>{both}</mc:AlternateContent></w:p>"))
    assert [e.text for e in parsed.elements] == ["boxed"]


def test_parts_follow_the_numbers_in_their_names() -> None:
    a = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    parts = {f"ppt/slides/slide{n}.xml": f"<s {a}><a:p><a:t>{n}</a:t></a:p></s>" for n in (10, 2, 1)}
    assert [e.text for e in damaged_package.parse_pptx(package(parts)).elements] == ["1", "2", "10"]


def test_what_only_looks_like_a_package_is_damaged() -> None:
    with pytest.raises(ParseFailed, match="no part with text"):
        damaged_package.parse_docx(b"PK\x03\x04" + b"\xff" * 200)


def test_a_bomb_gives_no_more_than_the_limit_when_it_is_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damaged_package, "MAX_PART_BYTES", 100_000)
    data = package({"word/document.xml": _document("first", "x" * 10_000_000)})
    parsed = damaged_package.parse_docx(data[:-40])
    assert parsed.elements[0].text == "first"
    assert sum(len(e.text) for e in parsed.elements) <= 100_000


def test_stored_members_are_read_when_the_directory_is_lost() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("word/document.xml", _document("stored"))
        archive.writestr("word/footnotes.xml", _document("note"))
    data = buffer.getvalue()
    parsed = damaged_package.parse_docx(data[: data.find(b"PK\x01\x02")])
    assert [e.text for e in parsed.elements] == ["stored", "note"]
