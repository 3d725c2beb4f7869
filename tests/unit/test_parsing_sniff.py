"""Which parser takes a file."""

import io
import time
import zipfile
import zlib

import pytest

from schemas.errors import EmptyDocument, EncryptedDocument, UnsupportedFormat
from tasks.parsing import text_kinds
from tasks.parsing.formats import PARSERS
from tasks.parsing.kinds import HEIF_BRANDS, PARSER_OF_KIND
from tasks.parsing.sniff import HEAD_BYTES, choose_parser
from tests.unit.parsing_inputs import docx, package, paragraph, pdf

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600


@pytest.mark.parametrize(
    ("uri", "parser"),
    [
        ("a.md", "markdown"),
        ("a.markdown", "markdown"),
        ("a.py", "python"),
        ("a.CSV", "csv"),
        ("a.tsv", "csv"),
        ("a.htm", "html"),
        ("a.ts", "typescript"),
        ("a.rb", "code"),
        ("dir.py/Makefile", "code"),
        ("a.txt", "text"),
        ("a.log", "text"),
        ("no_suffix", "text"),
        ("a.png", "text"),
        ("a.pdf", "text"),
    ],
)
def test_the_name_decides_among_kinds_of_text(uri: str, parser: str) -> None:
    assert choose_parser(b"plain words\n", uri) == parser


@pytest.mark.parametrize("uri", ["a.pdf", "a.txt", "a.docx", "a"])
def test_a_pdf_is_known_by_content_under_any_name(uri: str) -> None:
    assert choose_parser(pdf([]), uri) == "pdf"


def test_a_text_that_mentions_pdf_stays_text() -> None:
    assert choose_parser(b'MAGIC = b"%PDF-"\n', "sniff.py") == "python"


def test_bytes_before_the_pdf_header_are_allowed_in_a_pdf() -> None:
    assert choose_parser(b"HTTP headers\r\n" + pdf([]), "a.pdf") == "pdf"


@pytest.mark.parametrize(
    "head",
    [
        b"<!DOCTYPE html>\n<p>x",
        b"\xef\xbb\xbf  <html lang='ko'>",
        b"<?xml version='1.0'?>\n<!-- c -->\n<HTML >",
        "\ufeff<html><p>x</p>".encode("utf-16-le"),
    ],
)
def test_html_is_known_by_content_under_any_name(head: bytes) -> None:
    assert choose_parser(head, "a.txt") == "html"


@pytest.mark.parametrize("uri", ["a.docx", "a.zip", "a"])
def test_a_docx_is_known_by_its_members(uri: str) -> None:
    assert choose_parser(docx(paragraph("x"))[:HEAD_BYTES], uri) == "docx"


def test_a_docx_is_known_when_its_text_lies_beyond_the_head() -> None:
    # An incompressible first member pushes everything else out of the first 64 KiB.
    noise = "".join(
        chr(33 + zlib.crc32(bytes([i % 256, i // 256 % 256, i // 65536])) % 90) for i in range(150_000)
    )
    data = package({"docProps/thumbnail.jpeg": noise, "word/document.xml": "x"})
    assert b"word/document.xml" not in data[:HEAD_BYTES]
    assert choose_parser(data[:HEAD_BYTES], "a.docx") == "docx"


def goes_to(head: bytes, uri: str) -> str:
    """The parser, or the kind that is refused: formats come and go, what the bytes are does not."""
    try:
        return choose_parser(head, uri)
    except UnsupportedFormat as error:
        assert error.advice
        return str(error.facts["format"])


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ({"xl/workbook.xml": ""}, "XLSX spreadsheet"),
        ({"ppt/presentation.xml": ""}, "PPTX presentation"),
        ({"mimetype": "application/hwp+zip"}, "HWPX document"),
        ({"mimetype": "application/epub+zip"}, "EPUB document"),
        ({"mimetype": "application/vnd.oasis.opendocument.text"}, "ODT document"),
        ({"readme.txt": "hello"}, "zip archive"),
        ({"inner.docx": docx(paragraph("x")).decode("latin-1")}, "zip archive"),
    ],
)
def test_other_zip_formats_are_known_by_their_members(parts: dict[str, str], kind: str) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as package:
        for name, text in parts.items():
            package.writestr(name, text.encode("latin-1"))
    assert goes_to(data.getvalue(), "a.txt") in (kind, PARSER_OF_KIND[kind])
    assert goes_to(data.getvalue()[: len(data.getvalue()) // 2 + 40], "a.txt") in (kind, PARSER_OF_KIND[kind])


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("WordDocument", "DOC document"),
        ("Workbook", "XLS spreadsheet"),
        ("PowerPoint Document", "PPT presentation"),
        ("HwpSummaryInformation", "HWP document"),
        ("__properties_version1.0", "Outlook message document"),
    ],
)
def test_old_office_formats_are_known_by_their_streams(stream: str, kind: str) -> None:
    assert goes_to(OLE + stream.encode("utf-16-le"), "a") in (kind, PARSER_OF_KIND.get(kind))


def test_an_old_word_file_is_told_how_to_be_saved() -> None:
    with pytest.raises(UnsupportedFormat, match="save it as DOCX"):
        choose_parser(OLE + "WordDocument".encode("utf-16-le"), "a.doc")


def test_an_encrypted_office_file_needs_a_password() -> None:
    with pytest.raises(EncryptedDocument):
        choose_parser(OLE + "EncryptedPackage".encode("utf-16-le"), "a.bin")
    with pytest.raises(EncryptedDocument):
        choose_parser(OLE, "a.docx")


def old_tar() -> bytes:
    header = bytearray(512)
    header[:5], header[100:107], header[124:135] = b"a.txt", b"0000644", b"00000000001"
    header[148:156] = b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (PNG, "PNG image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\x00" * 8, "JPEG image"),
        (b"BM" + bytes([70, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0]) + b"\0" * 40, "BMP image"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 8, "HEIF image"),
        *((b"\0\0\0\x18ftyp" + brand + b"\0" * 8, "HEIF image") for brand in sorted(HEIF_BRANDS)),
        (b"\0\0\0\x18ftypavis" + b"\0" * 8, "AVIF image"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF image"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0heic", "MP4 media"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip archive"),
        (b"\x00" * 257 + b"ustar\x00", "tar archive"),
        (old_tar(), "tar archive"),
        (b"PK\x05\x06" + b"\0" * 18, "zip archive"),
        (b"HWP Document File V3.00 \x1a\1\2\3\4\5", "HWP 3 document"),
        (b"\x7fELF\x02\x01\x01" + b"\x00" * 9, "ELF program"),
        (b"{\\rtf1\\ansi hello}", "RTF document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG image"),
        (bytes(range(256)) * 4, "binary file"),
    ],
)
@pytest.mark.parametrize("uri", ["a.txt", "a.docx", "a.md"])
def test_what_is_not_text_is_known_under_any_name(head: bytes, kind: str, uri: str) -> None:
    assert goes_to(head, uri) in (kind, PARSER_OF_KIND.get(kind))


@pytest.mark.parametrize("data", [b"\0", b"\0" * 5000, b"\0 \r\n\0", b"\xff\xfe \0\n\0"])
def test_nothing_but_nul_bytes_is_an_empty_document(data: bytes) -> None:
    with pytest.raises(EmptyDocument, match="NUL"):
        choose_parser(data, "a.pdf")


MAIL = b"From: a@b.kr\r\nSubject: x\r\n folded\r\nDate: Fri, 17 Apr 2026 00:00:00 +0900\r\n\r\nbody\r\n"


@pytest.mark.parametrize("name", ["a", "a.txt", "a.PDF", "a.docx"])
@pytest.mark.parametrize(
    ("head", "parser"),
    [
        (b'{"a": 1}', "json"),
        (b'[{"a": 1}, {"a": 2}]\n', "json"),
        (b"[1, 2, 3]", "json"),
        (b'{"a": 1}\n{"a": 2}\n', "jsonl"),
        (b'{"cells": [], "metadata": {}, "nbformat": 4}', "notebook"),
        (b'{"rows": [' + b'{"a": "b"},' * 10_000, "json"),
        (b'{"a": 1}\n' * 10_000, "jsonl"),
        (b"<?xml version='1.0'?>\n<stock><a/></stock>", "xml"),
        (b"<stock><a>1</a></stock>\n", "xml"),
        (b"<!DOCTYPE note><note/>", "xml"),
        (b"#!/usr/bin/env python3\nx = 1\n", "python"),
        (b"#!/bin/sh\necho\n", "code"),
        (b".. note:: x\n\n.. code-block:: c\n\n   x\n", "rst"),
        (b"a\tb\n1\t2\n3\t4\n5\t6\n7\t8\n", "csv"),
        (b"a;b;c\n" * 6, "csv"),
        (b"# Title\n\n## Part\n\n```sh\nls\n```\n", "markdown"),
    ],
)
def test_kinds_of_text_are_known_by_content_without_a_telling_name(
    head: bytes, parser: str, name: str
) -> None:
    assert choose_parser(head[:HEAD_BYTES], name) == parser


@pytest.mark.parametrize(
    "head",
    [
        b"[1] Knuth, The Art of Computer Programming\n[2] Another one\n",
        b"{curly} words and {more} of them",
        b"[INFO] start\n[INFO] end\n",
        b"<kim@b.kr> wrote: hello",
        b"Date: Friday\nwords follow\n",
        b"one, two, three\n" * 6,
        b"A sentence, with a comma, and more.\nAnother, of the same, form.\n" * 3,
        b"BM is a code and BMW a car\n",
        b"# only a comment\nkey = value\n",
    ],
)
def test_text_that_looks_like_something_else_stays_text(head: bytes) -> None:
    assert choose_parser(head, "a.txt") == "text"


@pytest.mark.parametrize(("head", "uri", "parser"), [
    (b"{'a': 1}\n", "a.json", "json"),
    (b'{"a": 1}\n', "a.py", "python"),
    (b"<a>x</a>\n", "a.md", "markdown"),
    (b"namespace a {\n}\n", "a.h", "cpp"),
    (b"int a;\n", "a.h", "c"),
    (b"x\n", "A.RST", "rst"),
    (b"x\n", "a.TSX", "typescript"),
])  # fmt: skip
def test_the_suffix_breaks_ties(head: bytes, uri: str, parser: str) -> None:
    assert choose_parser(head, uri) == parser


def test_mail_is_known_by_its_headers() -> None:
    expected = "mail" if "mail" in PARSERS else "text"
    assert {choose_parser(MAIL, uri) for uri in ("a.txt", "a", "a.eml", "a.pdf")} == {expected}
    assert text_kinds.kind_of_text(MAIL.decode(), "txt", whole=True) == "mail"
    mbox = b"From a@b.kr Fri Apr 17 00:00:00 2026\n" + MAIL.replace(b"\r", b"")
    assert text_kinds.kind_of_text(mbox.decode(), "", whole=True) == "mail"


@pytest.mark.parametrize(
    "head",
    [
        b"a few \x00 stray \x00 NUL bytes in a longer text " * 3,
        "한국어 텍스트".encode("cp949"),
        "\ufeff한국어".encode("utf-16-le"),
        b"BZh is no archive here",
        "plain UTF-16 without a mark".encode("utf-16-le"),
        "표시 없는 한국어 문장입니다.\n둘째 줄도 있습니다.".encode("utf-16-le"),
        "표시 없는 한국어 문장입니다.\n둘째 줄도 있습니다.".encode("utf-16-be"),
        "표시 없는 한국어 문장입니다.\n".encode("utf-32-le"),
        "표시 없는 한국어 문장입니다.\n".encode("utf-32-be"),
        b"\x1b[31mcolours of a log\x1b[0m\n",
    ],
)
def test_unusual_text_is_text(head: bytes) -> None:
    assert choose_parser(head, "a.txt") == "text"


def test_no_bytes_are_an_empty_document() -> None:
    with pytest.raises(EmptyDocument, match="no bytes"):
        choose_parser(b"", "a.pdf")


@pytest.mark.parametrize(
    ("pattern", "uri"),
    [
        (b"[", "a"),
        (b"[a](/", "a"),
        (b"[](#", "a"),
        (b"\n", "a.h"),
        (b"\n \t", "a.h"),
        (b"**", "a"),
        (b"|--", "a"),
    ],
)
def test_what_a_text_is_takes_linear_time(pattern: bytes, uri: str) -> None:
    started = time.process_time()
    choose_parser((b"x" + pattern * 65536)[:65536], uri)
    assert time.process_time() - started < 1  # a few ms; 7 s where a pattern takes quadratic time


def test_a_link_and_another_mark_are_markdown_whatever_brackets_stand_before() -> None:
    text = b"See [the [inner](https://example.org/a) part.\n\nIt is **important**.\n"
    assert choose_parser(text, "a") == "markdown"
    assert choose_parser(text.replace(b"**", b""), "a") == "text"


@pytest.mark.parametrize("form", ["TIFF", "BMP"])
@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_a_picture_of_white_paper_is_no_text(form, mode):
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.new(mode, (300, 400), "white").save(out, form)
    for uri in ("a.tif", "a.txt", "a"):
        assert choose_parser(out.getvalue()[:HEAD_BYTES], uri) == "image"


@pytest.mark.parametrize("member", ["Index/Document.iwa", "Index/Tables/DataList.iwa", "index.apxl"])
@pytest.mark.parametrize("name", ["a.pages", "a.zip", "a.docx"])
def test_an_iwork_document_is_refused_with_a_way_out(member: str, name: str) -> None:
    data = package({"preview.jpg": "x", member: "x"})
    with pytest.raises(UnsupportedFormat, match="Export it from Pages"):
        choose_parser(data, name)


def test_an_iwork_document_whose_parts_lie_beyond_the_head_is_told_by_its_name() -> None:
    data = package({"Data/photo.jpg": "x"})
    with pytest.raises(UnsupportedFormat, match="iWork"):
        choose_parser(data, "a.key")
    assert choose_parser(data, "a.zip") == "archive"


def test_an_old_openoffice_document_is_no_archive() -> None:
    with pytest.raises(UnsupportedFormat, match="save it as ODT"):
        choose_parser(package({"mimetype": "application/vnd.sun.xml.writer", "content.xml": "<a/>"}), "a.sxw")
