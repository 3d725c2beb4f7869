"""Outlook messages (.msg): the same elements as a mail's, from the properties of the compound file.

python-oxmsg 0.0.2 raises on 8-bit texts in code pages and reads no compressed RTF.
Source: [MS-OXMSG], [MS-OXPROPS], [MS-OXRTFCP].
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

from schemas.document import Element, ParsedDocument, PartProblem
from schemas.errors import DocumentError
from tasks.parsing.mail_text import Headers, below_subject, best_body, decode_bytes
from tasks.parsing.markup import decode_html, fragment_elements
from tasks.parsing.ole import damaged, listing, open_ole, stream
from tasks.parsing.outlook_mail import rendered
from tasks.parsing.rtf import rtf_elements
from tasks.parsing.rtf_words import codec_of
from tasks.parsing.text import split_blank_lines

if TYPE_CHECKING:
    from olefile import OleFileIO

MIME = "application/vnd.ms-outlook"
MAX_RTF_BYTES = 64 * 2**20
MAX_DEPTH = 8
MAX_PARTS = 1_000

_SUBJECT, _BODY, _HTML, _RTF, _CLASS, _MESSAGE_ID = 0x0037, 0x1000, 0x1013, 0x1009, 0x001A, 0x1035
_SENDER = (0x0C1A, (0x5D01, 0x0C1F))
_REPRESENTED = (0x0042, (0x5D02, 0x0065))
_RECIPIENT = (0x3001, (0x39FE, 0x3003))
_RECIPIENT_TYPE, _DISPLAY_TO, _DISPLAY_CC = 0x0C15, 0x0E04, 0x0E03
_SUBMITTED, _DELIVERED, _CREATED = 0x0039, 0x0E06, 0x3007
_CODE_PAGES = (0x3FFD, 0x3FDE)
_DATA, _LONG_NAME, _SHORT_NAME, _NAME, _CONTENT_ID, _HIDDEN = 0x3701, 0x3707, 0x3704, 0x3001, 0x3712, 0x7FFE
_TAG = re.compile(r"<[^<>]*>")
_RTF_WORD = re.compile(r"\\[a-zA-Z]{1,32}-?[0-9]{0,10} ?|[{}\\]")
_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript "
    b"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
"""What the first references of compressed RTF refer to."""


def parse(data: bytes) -> ParsedDocument:
    """Subject as heading, people and date, then the body; attachments by name only."""
    with open_ole(data, "Outlook") as ole:
        message = _Message(ole, ())
        problems: list[PartProblem] = []
        headers = message.headers()
        body = message.body(problems)
        elements = (*headers.elements(), *below_subject(body))
    if not elements:
        raise damaged("Outlook")
    return ParsedDocument("outlook", MIME, elements, headers.metadata(), problems=tuple(problems))


def parse_plain(data: bytes) -> ParsedDocument:
    """The subject and the first body that there is, without structure."""
    with open_ole(data, "Outlook") as ole:
        message = _Message(ole, ())
        rtf = unpack_rtf(message.binary(_RTF)).decode("latin-1")
        body = message.text(_BODY) or _TAG.sub(" ", message.html()) or _RTF_WORD.sub(" ", rtf)
        texts = [message.text(_SUBJECT), *split_blank_lines(body)]
    return ParsedDocument("outlook", MIME, tuple(Element(text) for text in texts if text.strip()))


def attachments(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(file name or "", content) of what is attached; a nested message as ``SUBJECT.eml``.

    Left out: pictures that the body shows.
    """
    with open_ole(data, "Outlook") as ole:
        yield from _Message(ole, ()).attachments()


class _Properties:
    """Properties of a message, recipient or attachment: its streams and its table of values."""

    def __init__(self, ole: OleFileIO, path: tuple[str, ...], header_bytes: int) -> None:
        self.ole, self.path = ole, path
        table = stream(ole, *path, "__properties_version1.0")[header_bytes:]
        entries = struct.iter_unpack("<HHI8s", table[: len(table) // 16 * 16])
        self._values: dict[int, bytes] = {number: value for _, number, _, value in entries}

    def binary(self, number: int) -> bytes:
        """A property's bytes, none where it is missing."""
        return stream(self.ole, *self.path, f"__substg1.0_{number:04X}0102")

    def text(self, number: int) -> str:
        """A text without spaces around it, from UTF-16 or the message's code page."""
        wide = stream(self.ole, *self.path, f"__substg1.0_{number:04X}001F")
        if wide:
            text = wide.decode("utf-16-le", "replace")
        else:
            narrow = stream(self.ole, *self.path, f"__substg1.0_{number:04X}001E")
            pages = [page for page in map(self.integer, _CODE_PAGES) if page]
            text = decode_bytes(narrow, codec_of(pages[0]) if pages else "")
        return text.replace("\r\n", "\n").replace("\0", "").strip()

    def integer(self, number: int) -> int:
        """A number's value, 0 where it is missing."""
        return int.from_bytes(self._values.get(number, b"")[:4], "little")

    def time(self, number: int) -> datetime | None:
        """A time, None where it is missing or absurd."""
        ticks = int.from_bytes(self._values.get(number, b""), "little")
        try:
            return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10) if ticks else None
        except OverflowError:
            return None

    def person(self, numbers: tuple[int, tuple[int, ...]]) -> tuple[str, str]:
        """Name and mail address; addresses of a directory (without @) are left out."""
        addresses = [address for address in map(self.text, numbers[1]) if "@" in address]
        return " ".join(self.text(numbers[0]).split()), addresses[0] if addresses else ""


class _Message(_Properties):
    """The message at the root, or one that is attached."""

    def __init__(self, ole: OleFileIO, path: tuple[str, ...]) -> None:
        super().__init__(ole, path, 24 if path else 32)

    def headers(self) -> Headers:
        """Subject, people, date and names of attachments."""
        sender = [person for person in map(self.person, (_REPRESENTED, _SENDER)) if any(person)]
        date = next(filter(None, map(self.time, (_SUBMITTED, _DELIVERED, _CREATED))), None)
        subject = " ".join(self.text(_SUBJECT).split())
        return Headers(
            subject,
            {"From": sender[:1], "To": self._people(1, _DISPLAY_TO), "Cc": self._people(2, _DISPLAY_CC)},
            format_datetime(date) if date else "",
            self.text(_MESSAGE_ID),
            tuple(self._name(part) or "(unnamed)" for part in self._attached()),
        )

    def body(self, problems: list[PartProblem]) -> list[Element]:
        """The best of the bodies: plain, HTML or RTF."""
        if self.text(_CLASS).upper().startswith(("IPM.NOTE.SMIME", "IPM.NOTE.RPMSG")):
            problems.append(_locked())
        plain = [Element(part) for part in split_blank_lines(self.text(_BODY))]
        try:
            rich = self._rich()
        except DocumentError as exc:
            problems.append(PartProblem("formatted body", type(exc).__name__, str(exc)))
            rich = []
        return best_body(plain, rich)

    def attachments(self, depth: int = 0) -> Iterator[tuple[str, bytes]]:
        """As the module's function."""
        for part in self._attached():
            inner = self._inner(part)
            if inner is None:
                yield self._name(part), part.binary(_DATA)
            elif depth < MAX_DEPTH:
                files = list(inner.attachments(depth + 1))
                yield self._name(part), rendered(inner.headers(), inner.text(_BODY), inner.html(), files)

    def html(self) -> str:
        """The HTML body, "" without one."""
        return decode_html(self.binary(_HTML)) or self.text(_HTML)

    def _rich(self) -> list[Element]:
        if html := self.html():
            return list(fragment_elements(html))
        if packed := self.binary(_RTF):
            return list(rtf_elements(unpack_rtf(packed)))
        return []

    def _storages(self, start: str) -> list[tuple[str, ...]]:
        depth = len(self.path)
        paths = {tuple(path[: depth + 1]) for path in listing(self.ole) if len(path) > depth + 1}
        return sorted(p for p in paths if p[:depth] == self.path and p[depth].startswith(start))[:MAX_PARTS]

    def _people(self, kind: int, display: int) -> list[tuple[str, str]]:
        found = [_Properties(self.ole, path, 8) for path in self._storages("__recip_version1.0_")]
        people = [part.person(_RECIPIENT) for part in found if part.integer(_RECIPIENT_TYPE) == kind]
        shown = " ".join(self.text(display).split())
        return [person for person in people if any(person)] or ([(shown, "")] if shown else [])

    def _attached(self) -> list[_Properties]:
        found = [_Properties(self.ole, path, 8) for path in self._storages("__attach_version1.0_")]
        return [part for part in found if not (part.integer(_HIDDEN) or part.text(_CONTENT_ID))]

    def _inner(self, part: _Properties) -> _Message | None:
        path = (*part.path, f"__substg1.0_{_DATA:04X}000D")
        return _Message(self.ole, path) if self.ole.exists(list(path)) else None

    def _name(self, part: _Properties) -> str:
        inner = self._inner(part)
        if inner is not None:
            return f"{' '.join(inner.text(_SUBJECT).split()) or 'message'}.eml"
        return next(filter(None, map(part.text, (_LONG_NAME, _SHORT_NAME, _NAME))), "")


def unpack_rtf(data: bytes) -> bytes:
    """RTF from the compressed form; what came before the damage of a damaged one.

    Source: [MS-OXRTFCP] 2.2 and 3.2.
    """
    if len(data) < 16:
        return b""
    _, size, kind, _ = struct.unpack_from("<II4sI", data)
    size = min(size, MAX_RTF_BYTES)
    if kind == b"MELA":
        return data[16 : 16 + size]
    out = bytearray(_DICTIONARY)
    end = len(_DICTIONARY) + size
    at = 16
    while at < len(data) and len(out) < end:
        control, at = data[at], at + 1
        for bit in range(8):
            if at >= len(data):
                break
            if not control >> bit & 1:
                out.append(data[at])
                at += 1
                continue
            pair = int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
            at += 2
            back = (len(out) - (pair >> 4)) % 4096  # the place in a ring of 4,096 bytes
            if back == 0:  # a reference to the place being written ends the text
                return bytes(out[len(_DICTIONARY) : end])
            _copy(out, back, (pair & 0xF) + 2)
    return bytes(out[len(_DICTIONARY) : end])


def _copy(out: bytearray, back: int, count: int) -> None:
    """Append bytes from `back` places ago; a run may overlap itself."""
    piece = bytes(out[-back:][:count]) if back <= len(out) else bytes(count)
    while piece and len(piece) < count:
        piece += piece
    out += piece[:count]


def _locked() -> PartProblem:
    return PartProblem(
        "body",
        "EncryptedDocument",
        "The body is encrypted or signed as a whole. Save the message without that.",
    )
