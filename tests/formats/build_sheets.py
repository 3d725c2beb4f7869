"""Write the report as XLS and XLSB, record by record: `python -m tests.formats.build_sheets`.

No library of the project writes them. Sources: [MS-XLS], [MS-XLSB], [MS-CFB], [MS-OLEPS].
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.formats.build_office import sheet_rows, zipped
from tests.formats.build_text import FIXTURES
from tests.formats.source import REPORTS, Report

Cell = str | tuple[float, str]
"""A text, or a number with the code of its format."""
Sheets = dict[str, Sequence[tuple[Cell, ...]]]
NUMBERS: Sheets = {
    "매출": [
        ("품목", "금액", "증감률", "비용", "잔액", "날짜"),
        ("냉장", (1234567.5, "#,##0"), (0.125, "0.00%"), (5000.0, '"₩"#,##0'), (-20.0, "0.00"),
         (46129.0, "yyyy-mm-dd")),
        ("냉동", (2345678.0, "#,##0"), (-0.031, "0.00%"), (70.0, '#,##0"원"'), (0.5, "# ?/?"),
         (46130.0, "yyyy-mm-dd")),
    ],
    "Summary": [("Kind", "Sum"), ("all", (3580245.5, "#,##0.00"))],
}  # fmt: skip
_SECTOR = 512
_SUMMARY = "\x05SummaryInformation"


def xls(
    sheets: Sheets,
    *,
    title: str = "",
    author: str = "",
    keywords: str = "",
    modified: datetime | None = None,
    has_password: bool = False,
) -> bytes:
    """An Excel 97 workbook: cells as BIFF8 LABEL records, strings in UTF-16."""
    codes = _codes(sheets)
    tails = [_biff_sheet(rows, codes) for rows in sheets.values()]
    start = _biff(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0x7CC, 0, 6))
    start += _biff(0x2F, struct.pack("<HHH", 1, 1, 1) + bytes(48)) if has_password else b""
    start += _biff(0x42, struct.pack("<H", 1200))
    for number, code in enumerate(codes):
        start += _biff(0x41E, struct.pack("<HHB", 164 + number, len(code), 1) + code.encode("utf-16-le"))
    for number in range(-1, len(codes)) if codes else ():
        start += _biff(0xE0, struct.pack("<HH", 0, 164 + number if number >= 0 else 0) + bytes(16))
    names = [name.encode("utf-16-le") for name in sheets]
    size = len(start) + sum(12 + len(name) for name in names) + 4
    head, offset = start, size
    for name, tail in zip(names, tails, strict=True):
        head += _biff(0x85, struct.pack("<IHBB", offset, 0, len(name) // 2, 1) + name)
        offset += len(tail)
    book = head + _biff(0x0A, b"") + b"".join(tails)
    return _ole({"Workbook": book, _SUMMARY: _summary(title, author, keywords, modified)})


def _biff(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def _codes(sheets: Sheets) -> list[str]:
    """The codes of the sheets' formats; the style with the first one has number 1."""
    cells = [cell for rows in sheets.values() for row in rows for cell in row]
    return sorted({cell[1] for cell in cells if isinstance(cell, tuple)})


def _biff_sheet(rows: Sequence[tuple[Cell, ...]], codes: list[str]) -> bytes:
    width = max(map(len, rows))
    data = _biff(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0x7CC, 0, 6))
    data += _biff(0x200, struct.pack("<IIHHH", 0, len(rows), 0, width, 0))
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            if isinstance(text, tuple):
                style = codes.index(text[1]) + 1
                data += _biff(0x203, struct.pack("<HHHd", row, column, style, text[0]))
                continue
            body = text.encode("utf-16-le")
            data += _biff(0x204, struct.pack("<HHHHB", row, column, 0, len(body) // 2, 1) + body)
    return data + _biff(0x0A, b"")


def _summary(title: str, author: str, keywords: str, modified: datetime | None) -> bytes:
    """A property set with strings in UTF-8."""
    values = {1: struct.pack("<IhH", 2, -535, 0)}  # code page 65001
    for number, text in ((2, title), (4, author), (5, keywords)):
        body = text.encode() + b"\0"
        values[number] = struct.pack("<II", 30, len(body)) + body + bytes(-len(body) % 4)
    if modified:
        ticks = int((modified - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10**7
        values[13] = struct.pack("<IQ", 64, ticks)
    offset = 8 + 8 * len(values)
    index = body = b""
    for number, value in values.items():
        index += struct.pack("<II", number, offset + len(body))
        body += value
    section = struct.pack("<II", offset + len(body), len(values)) + index + body
    form = bytes.fromhex("e0859ff2f94f6810ab9108002b27b3d9")
    return struct.pack("<HHI16sI", 0xFFFE, 0, 2, bytes(16), 1) + form + struct.pack("<I", 48) + section


def _ole(streams: dict[str, bytes]) -> bytes:
    """A compound file; streams are filled up beyond 4096 bytes, so that none lies in the mini stream."""
    bodies = [
        data + bytes(max(4096 - len(data), 0) + -max(len(data), 4096) % _SECTOR) for data in streams.values()
    ]
    fat = [0xFFFFFFFD]
    entries = [_entry("Root Entry", 5, 0xFFFFFFFE, 0, child=1)]
    directory_sectors = 1
    fat += [0xFFFFFFFE] * directory_sectors
    order = list(streams)
    for number, (name, body) in enumerate(zip(order, bodies, strict=True)):
        first = len(fat)
        count = len(body) // _SECTOR
        fat += [*range(first + 1, first + count), 0xFFFFFFFE]
        right = number + 2 if number + 1 < len(order) else 0xFFFFFFFF
        entries.append(_entry(name, 2, first, len(body), right=right))
    assert len(fat) <= 128
    fat += [0xFFFFFFFF] * (128 - len(fat))
    entries += [bytes(128)] * (4 - len(entries))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIIII",
        bytes.fromhex("d0cf11e0a1b11ae1"), bytes(16), 0x3E, 3, 0xFFFE, 9, 6, bytes(6),
        0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0,
    )  # fmt: skip
    header += struct.pack("<I", 0xFFFFFFFF) * 108
    return header + struct.pack("<128I", *fat) + b"".join(entries) + b"".join(bodies)


def _entry(
    name: str, kind: int, first: int, size: int, *, child: int = 0xFFFFFFFF, right: int = 0xFFFFFFFF
) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0"
    return struct.pack(
        "<64sHBBIII16sIQQIQ",
        text,
        len(text),
        kind,
        1,
        0xFFFFFFFF,
        right,
        child,
        bytes(16),
        0,
        0,
        0,
        first,
        size,
    )


def xlsb(sheets: Sheets, report: Report | None = None) -> bytes:
    """A binary workbook: cells as BrtCellSt records."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    link = f'<Relationship Id="rId%d" Type="{kind}/%s" Target="%s"/>'
    root = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>'
    book = _brt(131) + _brt(143)
    for number, name in enumerate(sheets, 1):
        book += _brt(156, struct.pack("<II", 0, number) + _wide(f"rId{number}") + _wide(name))
    links = "".join(link % (n, "worksheet", f"worksheets/sheet{n}.bin") for n in range(1, len(sheets) + 1))
    types = "".join(
        f'<Override PartName="/xl/{name}" ContentType="application/vnd.ms-excel.{kind}"/>'
        for name, kind in (
            ("workbook.bin", "sheet.binary.macroEnabled.main"),
            *((f"worksheets/sheet{n}.bin", "worksheet") for n in range(1, len(sheets) + 1)),
        )
    )
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<!-- spreadsheetml --><Default Extension="xml" ContentType="application/xml"/>{types}</Types>',
        "_rels/.rels": root % link % (1, "officeDocument", "xl/workbook.bin"),
        "xl/workbook.bin": book + _brt(144) + _brt(132),
        "xl/_rels/workbook.bin.rels": root % links,
    }
    codes = _codes(sheets)
    if codes:
        parts["xl/styles.bin"] = _brt_styles(codes)
    for number, rows in enumerate(sheets.values(), 1):
        parts[f"xl/worksheets/sheet{number}.bin"] = _brt_sheet(rows, codes)
    if report:
        parts["docProps/core.xml"] = _core(report)
    return zipped(parts)


def _brt(kind: int, body: bytes = b"") -> bytes:
    number = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, left = b"", len(body)
    while left > 127:
        size += bytes([left & 0x7F | 0x80])
        left >>= 7
    return number + size + bytes([left]) + body


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _brt_styles(codes: list[str]) -> bytes:
    data = _brt(278) + _brt(615, struct.pack("<I", len(codes)))
    for number, code in enumerate(codes):
        data += _brt(44, struct.pack("<H", 164 + number) + _wide(code))
    data += _brt(616) + _brt(617, struct.pack("<I", len(codes) + 1))
    for number in (0, *range(164, 164 + len(codes))):
        data += _brt(47, struct.pack("<HH", 0, number) + bytes(12))
    return data + _brt(618) + _brt(279)


def _brt_sheet(rows: Sequence[tuple[Cell, ...]], codes: list[str]) -> bytes:
    width = max(map(len, rows))
    data = _brt(129) + _brt(148, struct.pack("<IIII", 0, len(rows) - 1, 0, width - 1)) + _brt(145)
    for row, cells in enumerate(rows):
        data += _brt(0, struct.pack("<II", row, 0) + bytes(9))
        for column, text in enumerate(cells):
            if isinstance(text, tuple):
                style = codes.index(text[1]) + 1
                data += _brt(5, struct.pack("<IId", column, style, text[0]))
                continue
            data += _brt(6, struct.pack("<II", column, 0) + _wide(text))
    return data + _brt(146) + _brt(130)


def _core(report: Report) -> str:
    return (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">'
        f"<dc:title>{report.title}</dc:title><dc:creator>{report.author}</dc:creator><cp:keywords>"
        f"{'; '.join(report.keywords)}</cp:keywords><dcterms:modified>{report.authored_at.isoformat()}"
        "</dcterms:modified></cp:coreProperties>"
    )


def main() -> None:
    for language, report in REPORTS.items():
        sheets = {section.title: sheet_rows(report, n) for n, section in enumerate(report.sections)}
        facts = {"title": report.title, "author": report.author, "keywords": "; ".join(report.keywords)}
        data = xls(sheets, **facts, modified=report.authored_at)
        (FIXTURES / f"report.{language}.xls").write_bytes(data)
        (FIXTURES / f"report.{language}.xlsb").write_bytes(xlsb(sheets, report))
    (FIXTURES / "numbers.xls").write_bytes(xls(NUMBERS))
    (FIXTURES / "numbers.xlsb").write_bytes(xlsb(NUMBERS))


if __name__ == "__main__":
    main()
