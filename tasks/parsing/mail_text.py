"""Text of mail headers and bodies, whatever their senders declared.

`email.policy.default` is not used: its header parser raises on hostile headers, takes quadratic
time on long ones, and loses raw 8-bit text, which Korean mailers send.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field, replace
from email.utils import getaddresses

from schemas.document import Element, Metadata
from tasks.parsing.dates import parse_date
from tasks.parsing.text import decode, encoding_of

MAX_HEADER_CHARS = 16 * 1024
MAX_ADDRESSES = 50
STUB_SHARE = 0.5
"""A plain body with less than this share of the words of the HTML body is a stub."""

_ENCODED = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]*|\r")
_QUOTED_BYTE = re.compile(rb"=([0-9A-Fa-f]{2})")
_CODECS = {
    **dict.fromkeys(("euckr", "ksc56011987", "ksc5601", "ksc56011989", "korean", "cp949", "ms949"), "cp949"),
    **dict.fromkeys(("gb2312", "gbk", "xgbk"), "gb18030"),
    **dict.fromkeys(("shiftjis", "sjis", "xsjis"), "cp932"),
    "unicode11utf7": "utf-7",
}
_UNDECIDED = frozenset(
    ("", "usascii", "ascii", "iso88591", "latin1", "cp1252", "windows1252", "unknown8bit", "8bit")
)
"""Declared by mailers that did not know: any bytes decode, so these prove nothing."""

_ISO_2022 = ((b"\x1b$)C", "iso2022_kr"), (b"\x1b$B", "iso2022_jp"), (b"\x1b$@", "iso2022_jp"))


@dataclass(frozen=True, slots=True)
class Headers:
    """What stands above a message, decoded."""

    subject: str = ""
    people: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    date: str = ""
    message_id: str = ""
    attached: tuple[str, ...] = ()

    def elements(self) -> tuple[Element, ...]:
        """The subject as a heading and one text of the other lines."""
        lines = [f"{name}: {address_line(pairs)}" for name, pairs in self.people.items() if pairs]
        lines += [f"Date: {self.date}"] if self.date else []
        lines += [f"Attachments: {', '.join(self.attached)}"] if self.attached else []
        heading = (Element(self.subject, "heading", level=1),) if self.subject else ()
        return (*heading, Element("\n".join(lines))) if lines else heading

    def metadata(self) -> Metadata:
        """Title, author and date; people, identity and attachments as free fields."""
        extra = {name.lower(): address_line(pairs) for name, pairs in self.people.items() if pairs}
        extra |= {"message-id": self.message_id} if self.message_id else {}
        extra |= {"attachments": ", ".join(self.attached)} if self.attached else {}
        authors = ", ".join(name or address for name, address in self.people.get("From", [])[:3])
        return Metadata(
            title=self.subject or None, author=authors or None, authored_at=parse_date(self.date), extra=extra
        )


def decode_bytes(data: bytes, charset: str) -> str:
    r"""Text by the declared charset where the bytes are of it, else by what they look like.

    Line ends are ``\n``.
    """
    name = re.sub(r"[^a-z0-9]", "", charset.lower())
    for mark, codec in _ISO_2022:
        if mark in data:
            return _lines(data.decode(codec, "replace"))
    if name == "iso2022kr" and b"\x0e" in data:  # the designation is missing
        return _lines((b"\x1b$)C" + data).decode("iso2022_kr", "replace"))
    if name in _UNDECIDED:
        guess = encoding_of(data)
        return _lines(data.decode(guess if guess in ("utf-8", "cp949") else "cp1252", "replace"))
    try:
        return _lines(data.decode(_CODECS.get(name, charset)).removeprefix("\ufeff"))
    except (LookupError, UnicodeError, ValueError):  # ValueError: a NUL in the name
        return decode(data)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def header_text(raw: str) -> str:
    """A header on one line: encoded words and raw 8-bit bytes (as surrogates) decoded.

    Words of one charset that follow each other are joined as bytes: mailers cut Hangul in two.
    """
    raw = _FOLD.sub(" ", raw[:MAX_HEADER_CHARS]).strip()
    parts: list[str] = []
    charset, pending, at = "", bytearray(), 0
    for match in _ENCODED.finditer(raw):
        between = raw[at : match.start()]
        is_next = bool(pending) and not between.strip()
        if pending and not (is_next and match[1].lower() == charset):
            parts.append(decode_bytes(bytes(pending), charset))
            pending.clear()
        if not is_next:
            parts.append(_raw_text(between))
        charset, at = match[1].lower(), match.end()
        pending += _word(match[3], is_base64=match[2] in "bB")
    if pending:
        parts.append(decode_bytes(bytes(pending), charset))
    parts.append(_raw_text(raw[at:]))
    return " ".join("".join(parts).split())


def _word(text: str, *, is_base64: bool) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if not is_base64:
        return _QUOTED_BYTE.sub(lambda m: bytes([int(m[1], 16)]), data.replace(b"_", b" "))
    return base64_bytes(data)


def base64_bytes(data: bytes) -> bytes:
    """What the valid characters give, cut off where they end."""
    data = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4))
    except binascii.Error:  # one character too many
        return binascii.a2b_base64(data[: len(data) // 4 * 4])


def _raw_text(text: str) -> str:
    if text.isascii():
        return text
    return decode_bytes(text.encode("utf-8", "surrogateescape"), "")


def addresses(raw: str) -> list[tuple[str, str]]:
    """(name, address) pairs, each decoded; a header that names none gives its text as a name."""
    raw = _FOLD.sub(" ", raw[:MAX_HEADER_CHARS])
    try:
        pairs = getaddresses([raw])
    except RecursionError:  # comments in comments
        pairs = []
    found = [(header_text(name), header_text(address)) for name, address in pairs if name or address]
    if not found and raw.strip():
        return [(header_text(raw), "")]
    return found


def address_line(pairs: list[tuple[str, str]]) -> str:
    """Names and addresses as a reader sees them; of very many, the first and their number."""
    shown = [
        f"{name} <{address}>" if name and address and name != address else name or address
        for name, address in pairs[:MAX_ADDRESSES]
    ]
    more = len(pairs) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def unflow(text: str, *, delete_space: bool) -> str:
    """Text of ``format=flowed`` with its soft line ends joined.

    Source: RFC 3676, section 4.
    """
    lines: list[tuple[int, list[str]]] = []
    is_open = False
    for line in text.split("\n"):
        body = line.lstrip(">")
        depth = len(line) - len(body)
        body = body[1:] if body.startswith(" ") else body
        if is_open and lines[-1][0] == depth and body != "-- ":
            lines[-1][1].append(body)
        else:
            lines.append((depth, [body]))
        is_open = body.endswith(" ") and body != "-- "
        if is_open and delete_space:
            lines[-1][1][-1] = body[:-1]
    return "\n".join(">" * depth + " " * (depth > 0) + "".join(parts) for depth, parts in lines)


def best_body(plain: list[Element], rich: list[Element]) -> list[Element]:
    """The plain body, unless it is a stub, or the other has structure and no less text."""
    words, others = _words(plain), _words(rich)
    is_structured = any(e.kind == "heading" or (e.text.count("\n") > 1 and e.kind == "table") for e in rich)
    if words < STUB_SHARE * others or (is_structured and others >= 0.8 * words):
        return rich
    return plain


def _words(elements: list[Element]) -> int:
    return sum(len(element.text.replace("|", " ").split()) for element in elements)


def below_subject(body: list[Element]) -> list[Element]:
    """The body with its headings below the subject, which is the only one of level 1."""
    shift = any(e.kind == "heading" and e.level == 1 for e in body)
    return [replace(e, level=e.level + 1) if shift and e.kind == "heading" else e for e in body]
