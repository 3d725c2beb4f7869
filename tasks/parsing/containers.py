"""What kind of document a zip or OLE container holds, told from its first bytes."""

from __future__ import annotations

import re
import zlib

OFFICE = "office document"
"""An OOXML package; which one lies behind the first bytes."""

_LOCAL_HEADER = re.compile(rb"PK\x03\x04.{4}(?P<method>.{2}).{16}(?P<name>.{2})(?P<extra>.{2})", re.S)
_HEADER_BYTES = 30
_BY_FOLDER = (
    (b"word/", "docx"),
    (b"xl/", "XLSX spreadsheet"),
    (b"ppt/", "PPTX presentation"),
    (b"visio/", "Visio document"),
    (b"Contents/section", "HWPX document"),
    (b"META-INF/MANIFEST.MF", "Java archive"),
)
_BY_CONTENT_TYPE = (
    (b"wordprocessingml", "docx"),
    (b"spreadsheetml", "XLSX spreadsheet"),
    (b"presentationml", "PPTX presentation"),
)
_BY_MIMETYPE = (
    (b"application/hwp+zip", "HWPX document"),
    (b"application/epub+zip", "EPUB document"),
    (b"application/vnd.oasis.opendocument.text", "ODT document"),
    (b"application/vnd.oasis.opendocument.spreadsheet", "ODS spreadsheet"),
    (b"application/vnd.oasis.opendocument.presentation", "ODP presentation"),
)
_BY_STREAM = (
    ("EncryptedPackage", "encrypted"),
    ("WordDocument", "DOC document"),
    ("Workbook", "XLS spreadsheet"),
    ("PowerPoint Document", "PPT presentation"),
    ("HwpSummaryInformation", "HWP document"),
    ("__substg1.0_", "Outlook message document"),
)


def office_of_zip(head: bytes) -> str | None:
    """``docx``, another format's name, `OFFICE`, or None where the first members do not tell.

    Reads the members' own headers from the front: the directory at the end of the file
    is not in `head`. A stored member that is a zip itself cannot mislead it unless it
    comes before every telling member.
    """
    office = False
    for match in _LOCAL_HEADER.finditer(head):
        start = match.start() + _HEADER_BYTES
        name = head[start : start + _int(match["name"])]
        body = head[start + len(name) + _int(match["extra"]) :]
        for folder, kind in _BY_FOLDER:
            if name.startswith(folder):
                return kind
        if name == b"mimetype":
            return _first(_BY_MIMETYPE, _inflate(body, _int(match["method"]))[:80]) or "zip archive"
        if name == b"[Content_Types].xml":
            office = True
            if kind_of_types := _first(_BY_CONTENT_TYPE, _inflate(body, _int(match["method"]))):
                return kind_of_types
    return OFFICE if office else None


def office_of_ole(head: bytes) -> str | None:
    """A format's name, ``encrypted``, or None where the directory is not in `head`."""
    for stream, kind in _BY_STREAM:
        if stream.encode("utf-16-le") in head:
            return kind
    return None


def _first(table: tuple[tuple[bytes, str], ...], data: bytes) -> str | None:
    return next((kind for mark, kind in table if mark in data), None)


def _inflate(body: bytes, method: int) -> bytes:
    if method == 0:
        return body[:65536]
    try:
        return zlib.decompressobj(-15).decompress(body, 65536)
    except zlib.error:
        return b""


def _int(field: bytes) -> int:
    return int.from_bytes(field, "little")
