"""Damage behind the compression: what a checksum or inflate would otherwise catch at the door."""

from __future__ import annotations

import base64
import gzip
import io
import random
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable

from tests.acceptance.fuzz.mutate import mutate
from tests.formats.ole import compound_file

_PDF_STREAM = re.compile(rb"stream\r?\n(.*?)(?:\r?\n)?endstream", re.S)
_LENGTH = re.compile(rb"/Length \d+(?! \d+ R)")
_DATE = (2024, 3, 15, 9, 30, 0)


def mutate_inside(rng: random.Random, data: bytes, other: bytes) -> tuple[str, bytes] | None:
    """The kind of damage and the bytes; None where nothing is packed in them."""
    for magic, open_up in _KINDS:
        if data.startswith(magic):
            try:
                return open_up(rng, data, other)
            except (ValueError, OSError, zlib.error, zipfile.BadZipFile, IndexError, NotImplementedError):
                return None
    return None


def _in_zip(rng: random.Random, data: bytes, other: bytes) -> tuple[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    at = rng.randrange(len(members))
    info, content = members[at]
    deed = rng.choice(["damage"] * 7 + ["drop", "double", "swap", "rename"])
    name = f"zip {info.filename}"
    match deed:
        case "drop":
            del members[at]
        case "double":
            members.append((info, content[: len(content) // 2]))
        case "swap":
            there = rng.randrange(len(members))
            members[at], members[there] = (info, members[there][1]), (members[there][0], content)
        case "rename":
            info.filename = mutate(rng, info.filename.encode(), b"../../x")[1].decode("utf-8", "replace")[
                :200
            ]
        case _:
            found = mutate_inside(rng, content, other) or mutate(rng, content, other)
            deed, content = found
            members[at] = (info, content)
    return f"{name} {deed}", _zip(members)


def _zip(members: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    packed = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w") as archive:
        warnings.simplefilter("ignore")  # of two members with one name
        for info, content in members:
            fresh = zipfile.ZipInfo(info.filename.replace("\0", "_") or "_", _DATE)
            fresh.compress_type = info.compress_type
            archive.writestr(fresh, content)
    return packed.getvalue()


def _in_gzip(rng: random.Random, data: bytes, other: bytes) -> tuple[str, bytes]:
    content = gzip.decompress(data)
    name, content = mutate_inside(rng, content, other) or mutate(rng, content, other)
    return f"gzip {name}", gzip.compress(content, 6, mtime=0)


def _in_pdf(rng: random.Random, data: bytes, other: bytes) -> tuple[str, bytes] | None:
    """One stream, inflated where it is deflated; offsets behind it move, as in a file edited by hand."""
    found = list(_PDF_STREAM.finditer(data))
    if not found:
        return None
    match = rng.choice(found)
    written = match[1]
    is_ascii = written.endswith(b"~>")
    content, is_packed = _inflate(base64.a85decode(b"<~" + written, adobe=True) if is_ascii else written, 15)
    name, content = mutate(rng, content, other)
    packed = zlib.compress(content) if is_packed else content
    packed = base64.a85encode(packed) + b"~>" if is_ascii else packed
    head = _set_length(data[: match.start(1)], len(packed)) if rng.random() < 0.8 else data[: match.start(1)]
    return f"pdf {name}", head + packed + data[match.end(1) :]


def _set_length(head: bytes, length: int) -> bytes:
    """With the stream's length in its dictionary, the last one before it."""
    stated = list(_LENGTH.finditer(head, max(0, len(head) - 400)))
    if not stated:
        return head
    return head[: stated[-1].start()] + b"/Length %d" % length + head[stated[-1].end() :]


def _in_ole(rng: random.Random, data: bytes, other: bytes) -> tuple[str, bytes]:
    import olefile

    with olefile.OleFileIO(io.BytesIO(data)) as ole:
        streams = {"/".join(path): ole.openstream(path).read() for path in ole.listdir()}
    path = rng.choice(sorted(streams))
    deed = rng.choice(["damage"] * 8 + ["drop", "swap"])
    if deed == "drop":
        del streams[path]
    elif deed == "swap":
        there = rng.choice(sorted(streams))
        streams[path], streams[there] = streams[there], streams[path]
    else:
        content, is_packed = _inflate(streams[path], -15)
        deed, content = mutate(rng, content, other)
        streams[path] = _deflate(content) if is_packed else content
    return f"ole {path} {deed}", compound_file(streams)


def _inflate(data: bytes, window: int) -> tuple[bytes, bool]:
    """What is packed in it, or itself; and which."""
    try:
        inflater = zlib.decompressobj(window)
        content = inflater.decompress(data, 4 << 20)
    except zlib.error:
        return data, False
    return (content, True) if inflater.eof and content else (data, False)


def _deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflater.compress(data) + deflater.flush()


_KINDS: tuple[tuple[bytes, Callable[[random.Random, bytes, bytes], tuple[str, bytes] | None]], ...] = (
    (b"PK\x03\x04", _in_zip),
    (b"\x1f\x8b", _in_gzip),
    (b"%PDF-", _in_pdf),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _in_ole),
)
