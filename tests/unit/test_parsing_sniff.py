"""Which parser takes a file."""

import zlib

import pytest

from schemas.errors import EmptyDocument, EncryptedDocument, UnsupportedFormat
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


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ({"xl/workbook.xml": ""}, "XLSX spreadsheet"),
        ({"ppt/presentation.xml": ""}, "PPTX presentation"),
        ({"mimetype": "application/hwp+zip"}, "HWPX document"),
        ({"mimetype": "application/epub+zip"}, "EPUB document"),
        ({"mimetype": "application/vnd.oasis.opendocument.text"}, "ODT document"),
        ({"readme.txt": "hello"}, "zip archive"),
    ],
)
def test_other_zip_formats_are_named(parts: dict[str, str], kind: str) -> None:
    with pytest.raises(UnsupportedFormat, match=kind) as caught:
        choose_parser(package(parts), "a.zip")
    assert caught.value.facts["format"] == kind


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        ("WordDocument", "DOC"),
        ("Workbook", "XLS"),
        ("PowerPoint Document", "PPT"),
        ("HwpSummaryInformation", "HWP"),
    ],
)
def test_old_office_formats_are_named(stream: str, kind: str) -> None:
    with pytest.raises(UnsupportedFormat, match=f"{kind} "):
        choose_parser(OLE + stream.encode("utf-16-le"), "a")


def test_an_encrypted_office_file_needs_a_password() -> None:
    with pytest.raises(EncryptedDocument):
        choose_parser(OLE + "EncryptedPackage".encode("utf-16-le"), "a.bin")
    with pytest.raises(EncryptedDocument):
        choose_parser(OLE, "a.docx")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (PNG, "PNG image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\x00" * 8, "JPEG image"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip archive"),
        (b"\x00" * 257 + b"ustar\x00", "tar archive"),
        (b"\x7fELF\x02\x01\x01" + b"\x00" * 9, "ELF program"),
        (b"{\\rtf1\\ansi hello}", "RTF document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG image"),
        (bytes(range(256)) * 4, "binary file"),
    ],
)
@pytest.mark.parametrize("uri", ["a.txt", "a.docx", "a.md"])
def test_what_is_not_text_is_refused_under_any_name(head: bytes, kind: str, uri: str) -> None:
    with pytest.raises(UnsupportedFormat, match=kind) as caught:
        choose_parser(head, uri)
    assert caught.value.advice


@pytest.mark.parametrize(
    "head",
    [
        b"a few \x00 stray \x00 NUL bytes in a longer text " * 3,
        "한국어 텍스트".encode("cp949"),
        "\ufeff한국어".encode("utf-16-le"),
        b"BZh is no archive here",
        "plain UTF-16 without a mark".encode("utf-16-le"),
        b"\x1b[31mcolours of a log\x1b[0m\n",
    ],
)
def test_unusual_text_is_text(head: bytes) -> None:
    assert choose_parser(head, "a.txt") == "text"


def test_no_bytes_are_an_empty_document() -> None:
    with pytest.raises(EmptyDocument, match="no bytes"):
        choose_parser(b"", "a.pdf")
