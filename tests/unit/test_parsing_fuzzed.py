"""What the fuzz campaign found, in small: files that crashed a parser or lost their reason."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from schemas.errors import ParseFailed
from tasks.parsing import hwp, hwpx, spreadsheet, unstructured_rung
from tasks.parsing.base import choose_parser
from tasks.parsing.spreadsheet import parse as parse_spreadsheet

FIXTURES = Path(__file__).parents[1] / "formats" / "fixtures"
XLS = (FIXTURES / "report.en.xls").read_bytes()
SECTOR = 512


def _set(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def _table_at(data: bytes) -> int:
    """Where the allocation table of an OLE file begins."""
    (sector,) = struct.unpack_from("<I", data, 76)
    return (sector + 1) * SECTOR


def _entry_at(data: bytes, name: str) -> int:
    """Where the directory's entry of that name begins."""
    return data.index(name.encode("utf-16-le") + b"\0\0")


def test_an_xls_whose_sectors_go_in_circles_is_damaged_and_does_not_take_all_memory():
    (start,) = struct.unpack_from("<I", XLS, _entry_at(XLS, "Workbook") + 116)
    for first, second in ((start, start), (start + 1, start)):
        with pytest.raises(ParseFailed, match="circles"):
            parse_spreadsheet(_set(XLS, _table_at(XLS) + 4 * first, second))


def test_an_xls_with_a_stream_larger_than_the_file_is_damaged():
    with pytest.raises(ParseFailed, match="damaged"):
        parse_spreadsheet(_set(XLS, _entry_at(XLS, "Workbook") + 120, 0x7FFFFFFF))


def test_an_xls_whose_table_of_tables_goes_in_circles_is_damaged():
    looped = _set(XLS + XLS[-SECTOR:], 68, len(XLS) // SECTOR - 1)
    looped = looped[:-4] + struct.pack("<I", len(XLS) // SECTOR - 1)
    with pytest.raises(ParseFailed, match="damaged"):
        parse_spreadsheet(looped)


def test_an_xls_with_free_sectors_and_storages_of_any_size_is_read_as_before():
    padded = XLS + bytes(SECTOR)
    assert parse_spreadsheet(padded).elements == parse_spreadsheet(XLS).elements


# --- what a library says of damage is translated: a KeyError tells no reader anything ------


def _replaced(name: str, parts: Mapping[str, bytes]) -> bytes:
    """A fixture's package with other contents of some parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(FIXTURES / name) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            new.writestr(part, parts.get(part, old.read(part)))
    return out.getvalue()


@pytest.mark.parametrize(
    ("parse", "name", "part"),
    [
        (unstructured_rung.parse_docx, "report.en.docx", "word/_rels/document.xml.rels"),
        (unstructured_rung.parse_docx, "report.en.docx", "[Content_Types].xml"),
        (unstructured_rung.parse_pptx, "report.en.pptx", "ppt/_rels/presentation.xml.rels"),
        (spreadsheet.parse_thorough, "report.en.xlsx", "xl/styles.xml"),
        (spreadsheet.parse_thorough, "report.en.xlsx", "xl/_rels/workbook.xml.rels"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"<a", b"\0" * 50])
def test_a_damaged_part_is_told_as_damage_by_the_thorough_rung(parse, name, part, content):
    with pytest.raises(ParseFailed, match=r"damaged or cut off: .* cannot read it"):
        parse(_replaced(name, {part: content}))


def test_a_package_that_is_cut_off_is_told_as_damage_by_the_thorough_rung():
    data = (FIXTURES / "report.ko.docx").read_bytes()
    for end in (len(data) // 3, len(data) - 10):
        with pytest.raises(ParseFailed, match="damaged"):
            unstructured_rung.parse_docx(data[:end])


def test_what_unhwp_cannot_read_is_told_as_damage():
    parts = {"Contents/section0.xml": b"<hs:sec", "Contents/header.xml": b""}
    with pytest.raises(ParseFailed, match="damaged"):
        hwpx.parse_thorough(_replaced("report.en.hwpx", parts))
    with pytest.raises(ParseFailed, match="damaged"):
        hwp.parse_unhwp(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000))


# --- a damaged package stays what its name says -----------------------------------------------


@pytest.mark.parametrize(
    ("name", "parser"),
    [
        ("report.en.ods", "spreadsheet"),
        ("report.en.odt", "opendocument"),
        ("report.en.epub", "epub"),
        ("report.en.hwpx", "hwpx"),
    ],
)
def test_a_package_with_a_damaged_mimetype_is_no_archive_of_xml_files(name, parser):
    data = _replaced(name, {"mimetype": b"appl\0cation/"})
    assert choose_parser(data, name) == parser
    assert choose_parser(data, "parts.zip") == "archive"
