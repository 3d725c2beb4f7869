"""What the fuzz campaign found, in small: files that crashed a parser or lost their reason."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from schemas.errors import ParseFailed
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
