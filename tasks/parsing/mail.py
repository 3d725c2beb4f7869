"""Mail (RFC 5322 and MIME): subject, people and date, the best of the bodies, attachments apart."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.errors import HeaderParseError
from email.message import Message
from email.policy import compat32

from schemas.document import Element, ParsedDocument, PartProblem
from schemas.errors import DocumentError
from tasks.parsing.mail_text import (
    MAX_HEADER_CHARS,
    Headers,
    addresses,
    base64_bytes,
    below_subject,
    best_body,
    decode_bytes,
    header_text,
    unflow,
)
from tasks.parsing.markup import fragment_elements
from tasks.parsing.text import split_blank_lines

MIME = "message/rfc822"
MAX_PARTS = 10_000
MAX_NAMES = 100

_ENCODING = "content-transfer-encoding"
_NAMES = ("From", "To", "Cc")
_SIGNATURES = frozenset(
    ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
)
_LOCKED = frozenset(("application/pkcs7-mime", "application/x-pkcs7-mime"))
_TAG = re.compile(r"<[^<>]*>")
_PGP = ("-----BEGIN PGP MESSAGE-----", "-----END PGP MESSAGE-----")
_BOUNDARY = re.compile(rb"^--(?! \r?\n)[^\r\n]{1,200}\r?\n", re.M)
_HEADER_BLOCK = re.compile(rb"(?:[A-Za-z][A-Za-z0-9-]{1,60}:|[ \t])[^\n]*\n")


def parse(data: bytes) -> ParsedDocument:
    """Subject as heading, people and date, then the body; attachments by name only."""
    message = _message(data)
    parts = _parts(message)
    headers = headers_of(message, parts)
    elements = (*headers.elements(), *below_subject(list(_body(parts))))
    return ParsedDocument("mail", MIME, elements, headers.metadata(), problems=tuple(parts.problems))


def parse_plain(data: bytes) -> ParsedDocument:
    """The text of whatever looks like a text part, however the parts are nested or marked."""
    message = email.message_from_bytes(data[: _header_end(data)], policy=compat32)
    headers = headers_of(message, _Parts())
    texts = [_flat_text(piece) for piece in _BOUNDARY.split(data)]
    plain = [text for kind, text in texts if kind != "html" and text.strip()]
    body = tuple(
        Element(part) for text in plain or [text for _, text in texts] for part in split_blank_lines(text)
    )
    return ParsedDocument("mail", MIME, (*headers.elements(), *body), headers.metadata())


def attachments(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(file name or "", content) of what is attached; a nested message as ``SUBJECT.eml``.

    Left out: the bodies, signatures, and pictures that a body shows.
    """
    for part in _parts(_message(data)).attached:
        yield _file_name(part), _content(part)


# --- headers -----------------------------------------------------------------------------


def headers_of(message: Message, parts: _Parts) -> Headers:
    """The headers of a message with the names of its attachments."""
    raw = _raw_headers(message)
    received = raw.get("received", "").rpartition(";")[2]
    names = [_file_name(part) or part.get_content_type() for part in parts.attached]
    return Headers(
        header_text(raw.get("subject", "")),
        {name: addresses(raw.get(name.lower(), "")) for name in _NAMES},
        header_text(raw.get("date", "") or received),
        header_text(raw.get("message-id", "")),
        (*names[:MAX_NAMES], *([f"{len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else [])),
    )


def _raw_headers(message: Message) -> dict[str, str]:
    """The first of each header, lower case; bytes beyond ASCII as surrogates."""
    raw: dict[str, str] = {}
    for name, value in message.raw_items():
        raw.setdefault(name.lower(), str(value))
    return raw


# --- parts -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Parts:
    """The parts by what they are for; a body is one of several alternatives."""

    bodies: list[list[Message]] = field(default_factory=list)
    attached: list[Message] = field(default_factory=list)
    problems: list[PartProblem] = field(default_factory=list)


def _message(data: bytes) -> Message:
    return email.message_from_bytes(data, policy=compat32)


def _parts(message: Message) -> _Parts:
    """One walk over the tree of parts, without recursion."""
    found = _Parts()
    stack: list[tuple[Message, list[Message] | None]] = [(message, None)]
    for _ in range(MAX_PARTS):
        if not stack:
            return found
        part, group = stack.pop()
        _shorten(part)
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            stack += reversed(_children(part, group, found))
        else:
            _sort(part, group, found, is_root=part is message)
    found.problems.append(
        PartProblem("body", "ParseFailed", f"Only the first {MAX_PARTS:,} parts of the message were read.")
    )
    return found


def _shorten(part: Message) -> None:
    """Cut absurd headers: the standard library takes quadratic time on their parameters."""
    for name, value in part.raw_items():
        if len(value) > MAX_HEADER_CHARS:
            part.replace_header(name, value[:MAX_HEADER_CHARS])


def _children(
    part: Message, group: list[Message] | None, found: _Parts
) -> list[tuple[Message, list[Message] | None]]:
    children = [child for child in part.get_payload() if isinstance(child, Message)]
    kind = part.get_content_subtype()
    if kind == "encrypted":
        found.problems.append(_locked())
        return []
    if kind == "alternative":
        group = []
        found.bodies.append(group)
    if kind == "signed":
        children = children[:1] + [c for c in children[1:] if c.get_content_type() not in _SIGNATURES]
    return [(child, group) for child in children]


def _sort(part: Message, group: list[Message] | None, found: _Parts, *, is_root: bool) -> None:
    kind = part.get_content_type()
    if kind in _LOCKED:
        found.problems.append(_locked())
    elif _is_body(part, kind, is_root=is_root):
        if group is None:
            found.bodies.append([part])
        else:
            group.append(part)
    elif kind not in _SIGNATURES and not _is_shown_inside(part):
        found.attached.append(part)


def _is_body(part: Message, kind: str, *, is_root: bool) -> bool:
    if kind.startswith("multipart/"):  # its boundaries are missing
        return True
    if kind not in ("text/plain", "text/html", "text/enriched"):
        return False
    return part.get_content_disposition() != "attachment" and (is_root or not _file_name(part))


def _is_shown_inside(part: Message) -> bool:
    """A picture that a body shows: by its Content-ID, or inline without a name."""
    if part.get_content_maintype() != "image" or part.get_content_disposition() == "attachment":
        return False
    return "content-id" in part or not _file_name(part)


def _file_name(part: Message) -> str:
    try:
        name = part.get_filename() or ""
    except (HeaderParseError, ValueError, LookupError, TypeError, IndexError):
        name = ""
    name = header_text(name)
    if not name and part.get_content_type() == "message/rfc822":
        inner = part.get_payload()
        first = inner[0] if isinstance(inner, list) and inner else None
        subject = _raw_headers(first).get("subject", "") if isinstance(first, Message) else ""
        return f"{header_text(subject) or 'message'}.eml"
    return name


def _content(part: Message) -> bytes:
    """A part's bytes with its transfer encoding undone, as far as it goes."""
    if part.is_multipart():
        return b"\n".join(_rendered(inner) for inner in part.get_payload() if isinstance(inner, Message))
    encoding = str(part.get(_ENCODING, ""))
    is_base64 = "base64" in encoding.lower()
    if is_base64:  # the standard library gives nothing of a text that is cut off
        part.replace_header(_ENCODING, "8bit")
    data = part.get_payload(decode=True)
    if is_base64:
        part.replace_header(_ENCODING, encoding)
    content = data if isinstance(data, bytes) else b""
    return base64_bytes(content) if is_base64 else content


def _rendered(message: Message) -> bytes:
    try:
        return message.as_bytes(policy=compat32)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # defects inside
        return b""


# --- bodies ------------------------------------------------------------------------------


def _body(parts: _Parts) -> Iterator[Element]:
    for group in parts.bodies:
        plain = [e for part in group if part.get_content_type() != "text/html" for e in _plain(part, parts)]
        try:
            rich = [e for part in group if part.get_content_type() == "text/html" for e in _rich(part)]
        except DocumentError as exc:
            parts.problems.append(PartProblem("HTML body", type(exc).__name__, str(exc)))
            rich = []
        yield from best_body(plain, rich)


def _plain(part: Message, found: _Parts) -> list[Element]:
    text = decode_bytes(_content(part), _parameter(part, "charset"))
    if part.get_content_maintype() == "multipart":  # its boundaries are missing
        text = "\n\n".join(_flat_text(piece)[1] for piece in _BOUNDARY.split(_content(part)))
    elif _parameter(part, "format").lower() == "flowed":
        text = unflow(text, delete_space=_parameter(part, "delsp").lower() == "yes")
    before, mark, rest = text.partition(_PGP[0])
    if mark:
        found.problems.append(_locked())
        text = before + rest.partition(_PGP[1])[2]
    return [Element(piece) for piece in split_blank_lines(text)]


def _rich(part: Message) -> tuple[Element, ...]:
    return fragment_elements(decode_bytes(_content(part), _parameter(part, "charset")))


def _parameter(part: Message, name: str) -> str:
    try:
        value = part.get_param(name)
    except (HeaderParseError, ValueError, LookupError, TypeError, IndexError):
        return ""
    return str(value[2] if isinstance(value, tuple) else value or "")


def _flat_text(piece: bytes) -> tuple[str, str]:
    """Subtype and text of a piece between boundaries; "" for one that is no text."""
    end = _header_end(piece)
    part = email.message_from_bytes(piece[:end], policy=compat32)
    _shorten(part)
    if part.get_content_maintype() == "multipart":
        del part["content-type"]
    if part.get_content_maintype() != "text" or _file_name(part):
        return "", ""
    part.set_payload(piece[end:].decode("ascii", "surrogateescape"))
    text = decode_bytes(_content(part), _parameter(part, "charset"))
    kind = part.get_content_subtype()
    return kind, _without_tags(text) if kind == "html" else text


def _without_tags(text: str) -> str:
    try:
        return "\n\n".join(element.text for element in fragment_elements(text))
    except DocumentError:
        return _TAG.sub(" ", text)


def _header_end(piece: bytes) -> int:
    """Where the header lines at the start end."""
    at = 0
    while match := _HEADER_BLOCK.match(piece, at):
        at = match.end()
    return at


def _locked() -> PartProblem:
    return PartProblem(
        "body", "EncryptedDocument", "The body is encrypted. Save the message decrypted, or export its text."
    )
