"""The compound file of an HWP 5 document: its flags, its streams unpacked, its summary."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import IntFlag
from typing import TYPE_CHECKING

from schemas.document import Metadata
from schemas.errors import EncryptedDocument, ParseFailed, UnsupportedFormat
from tasks.parsing.ole import damaged, listing, open_ole, stream

if TYPE_CHECKING:
    from olefile import OleFileIO

MAX_UNPACKED_BYTES = 64 * 2**20
MAX_PROPERTIES = 100
MAX_RECORDS = 1_000_000
"""Of a section; an empty one of 4 bytes costs some 300 bytes of memory."""

Record = tuple[int, int, bytes]
"""Tag, level and body."""

_KEPT = frozenset((25, 26, 66, 67, 71, 72, 76, 77, 88))
"""Tags of the records that a reader of the text needs."""

_FIRST_TAG = 16
_TEXT, _DATE = 0x1F, 0x40
_SECTION = re.compile(r"Section(\d{1,9})")


class Flag(IntFlag):
    """Properties in the file header."""

    COMPRESSED = 0x1
    PASSWORD = 0x2
    DISTRIBUTION = 0x4
    RIGHTS = 0x10
    CERTIFICATE = 0x100
    CERTIFICATE_RIGHTS = 0x400
    LOCKED = PASSWORD | RIGHTS | CERTIFICATE | CERTIFICATE_RIGHTS


def open_file(data: bytes) -> OleFileIO:
    """The compound file.

    Raises:
        UnsupportedFormat: it is of HWP 3.
        ParseFailed: it is no compound file, or a damaged one.
    """
    if data.startswith(b"HWP Document File"):
        raise UnsupportedFormat(
            "The file is in the format of HWP 3 (before the year 2000).",
            advice="Open it in Hangul and save it as HWPX, or exclude it.",
            format="HWP 3 document",
        )
    return open_ole(data, "Hangul")


def flags_of(ole: OleFileIO) -> int:
    """The properties of the file header.

    Raises:
        EncryptedDocument: a password, a certificate or rights management keeps the text.
    """
    header = stream(ole, "FileHeader")
    if not header.startswith(b"HWP Document File") or len(header) < 40:
        raise damaged("Hangul")
    flags = int(struct.unpack_from("<I", header, 36)[0])
    if flags & Flag.LOCKED:
        raise EncryptedDocument(
            "The HWP document needs a password or a certificate.",
            advice="Save it without one in Hangul, or exclude it.",
        )
    return flags


def unpacked(ole: OleFileIO, path: list[str], flags: int, limit: int) -> tuple[bytes, bool]:
    """A stream unpacked and whether its end is missing."""
    data = stream(ole, *path)
    if not flags & Flag.COMPRESSED:
        return data, not data
    inflate, out = zlib.decompressobj(-15), bytearray()
    try:
        for start in range(0, len(data), 65536):
            out += inflate.decompress(data[start : start + 65536], limit + 1 - len(out))
            if len(out) > limit:
                raise ParseFailed(
                    f"The HWP document unpacks to more than {MAX_UNPACKED_BYTES >> 20} MB.",
                    advice="Split the document, or exclude it.",
                )
    except zlib.error:  # what came before the damage is kept
        return bytes(out), True
    return bytes(out), not inflate.eof


def sections(ole: OleFileIO, flags: int) -> Iterator[tuple[str, list[Record], bool]]:
    """Name, records and whether the end is missing, of each section of the body."""
    left = MAX_UNPACKED_BYTES
    found = [(_SECTION.fullmatch(path[-1]), path) for path in listing(ole) if path[0] == "BodyText"]
    for number, path in sorted((int(match[1]), path) for match, path in found if match):
        data, cut = unpacked(ole, path, flags, left)
        left -= len(data)
        records, is_broken = records_of(data)
        yield f"section {number + 1}", records, cut or is_broken


def records_of(data: bytes) -> tuple[list[Record], bool]:
    """The records that a reader needs, and whether an impossible one ended them."""
    found: list[Record] = []
    at, end = 0, len(data)
    while at + 4 <= end:
        (head,) = struct.unpack_from("<I", data, at)
        tag, level, size = head & 0x3FF, head >> 10 & 0x3FF, head >> 20
        at += 4
        if size == 0xFFF and at + 4 <= end:
            (size,) = struct.unpack_from("<I", data, at)
            at += 4
        if tag < _FIRST_TAG or len(found) >= MAX_RECORDS:
            return found, True
        if tag in _KEPT:
            found.append((tag, level, data[at : at + size]))
        at += size
    return found, at != end


def metadata_of(ole: OleFileIO) -> Metadata:
    """Title, author, date and keywords of the summary; empty where it is damaged."""
    try:
        words, dates = _summary(stream(ole, "\x05HwpSummaryInformation"))
    except (struct.error, OverflowError):
        return Metadata()
    extra = {name: words[key] for name, key in (("subject", 3), ("comments", 6)) if words.get(key)}
    return Metadata(
        title=words.get(2) or None,
        author=words.get(4) or None,
        authored_at=dates.get(12) or dates.get(13),
        tags=tuple(tag.strip() for tag in re.split("[,;]", words.get(5, "")) if tag.strip()),
        extra=extra,
    )


def _summary(data: bytes) -> tuple[dict[int, str], dict[int, datetime]]:
    """Texts and dates of the first property set, by number.

    olefile 0.47 reads strings beyond their end and loops for hours on absurd counts.
    Source: [MS-OLEPS] 2.20 and 2.21.
    """
    words: dict[int, str] = {}
    dates: dict[int, datetime] = {}
    (start,) = struct.unpack_from("<I", data, 44)
    (count,) = struct.unpack_from("<I", data, start + 4)
    for index in range(min(count, MAX_PROPERTIES)):
        number, offset = struct.unpack_from("<II", data, start + 8 + 8 * index)
        at = start + offset
        kind, size = struct.unpack_from("<II", data, at)
        if kind == _TEXT:
            text = data[at + 8 : at + 8 + 2 * size].decode("utf-16-le", "replace")
            words[number] = text.partition("\0")[0].strip()
        elif kind == _DATE and any(data[at + 4 : at + 12]):
            (ticks,) = struct.unpack_from("<Q", data, at + 4)
            dates[number] = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)
    return words, dates
