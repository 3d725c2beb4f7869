"""What kind of document a zip or OLE container holds, told from its first bytes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

OFFICE = "office document"
"""An OOXML package; which one lies behind the first bytes."""

_LOCAL_HEADER = re.compile(
    rb"PK\x03\x04.{4}(?P<method>.{2}).{8}(?P<size>.{4}).{4}(?P<name>.{2})(?P<extra>.{2})", re.S
)
_HEADER_BYTES = 30
_UNKNOWN_SIZE = 0xFFFFFFFF
_BY_FOLDER = (
    (b"word/", "docx"),
    (b"xl/", "XLSX spreadsheet"),
    (b"ppt/", "PPTX presentation"),
    (b"visio/", "Visio document"),
    (b"Contents/section", "HWPX document"),
    (b"META-INF/MANIFEST.MF", "Java archive"),
    (b"META-INF/container.xml", "EPUB document"),
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
    (b"application/vnd.oasis.opendocument.graphics", "ODG drawing"),
    (b"application/vnd.oasis.opendocument.", "OpenDocument formula, chart or database"),
    (b"application/vnd.sun.xml.", "OpenOffice.org 1 document"),
)
_IWORK = re.compile(rb"Index/.*\.iwa|Index\.zip|index\.apxl", re.S)
_BY_STREAM = (  # a message may hold a document, a document a table: the outer one first
    ("__properties_version1.0", "Outlook message document"),
    ("__substg1.0_", "Outlook message document"),
    ("EncryptedPackage", "encrypted"),
    ("HwpSummaryInformation", "HWP document"),
    ("WordDocument", "DOC document"),
    ("PowerPoint Document", "PPT presentation"),
    ("Workbook", "XLS spreadsheet"),
    ("Book\0", "XLS spreadsheet"),
)


def office_of_zip(head: bytes) -> str | None:
    """``docx``, another format's name, `OFFICE`, or None where the first members do not tell.

    Reads the members' own headers from the front: the directory at the end of the file
    is not in `head`. Stored members are stepped over, so a zip in a zip does not mislead it.
    """
    office = False
    for name, method, body in _members(head):
        for folder, kind in _BY_FOLDER:
            if name.startswith(folder):
                return kind
        if _IWORK.fullmatch(name):
            return "iWork document"
        if name == b"mimetype":
            return _first(_BY_MIMETYPE, _inflate(body, method)[:80]) or "zip archive"
        if name == b"[Content_Types].xml":
            office = True
            if kind_of_types := _first(_BY_CONTENT_TYPE, _inflate(body, method)):
                return kind_of_types
    return OFFICE if office else None


def office_of_ole(head: bytes, expected: str | None = None) -> str | None:
    """A format's name, ``encrypted``, or None where the directory is not in `head`.

    `expected` is taken where the file has its stream, whatever else is embedded in it.
    """
    found = [kind for stream, kind in _BY_STREAM if stream.encode("utf-16-le") in head]
    return expected if expected in found else next(iter(found), None)


def _members(head: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """(name, compression method, what follows the header) of each member that begins in `head`."""
    match = _LOCAL_HEADER.search(head)
    while match:
        start = match.start() + _HEADER_BYTES
        name = head[start : start + _int(match["name"])]
        body = start + len(name) + _int(match["extra"])
        yield name, _int(match["method"]), head[body : body + 65536]
        # A size of zero may mean that it stands behind the data.
        size = _int(match["size"])
        match = _LOCAL_HEADER.search(head, body + (0 if size == _UNKNOWN_SIZE else size))


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
