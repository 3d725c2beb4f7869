"""Ways to damage bytes; each takes a generator, the bytes, and those of another file."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

Mutation = Callable[[random.Random, bytes, bytes], bytes]

END_BYTES = 1024
"""How much of a file counts as its head or its tail: headers, directories, trailers."""
MOST_BYTES = 4 << 20
"""Of a mutant: what repeats a block must not fill the disk."""

_INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_NUMBERS = (
    b"0", b"-1", b"1e309", b"NaN", b"65536", b"2147483648", b"4294967295", b"1048576000",
    b"99999999999999999999", b"9" * 5000,
)  # fmt: skip
_OPENINGS = (
    b"<a>",
    b"<w:p>",
    b"<table><tr><td>",
    b"[",
    b'{"a":',
    b"(",
    b"- ",
    b"> ",
    b"<<",
    b"{\\b ",
    b"<!--",
    b"**",
)
_DIGITS = re.compile(rb"\d+")


def _at(rng: random.Random, data: bytes) -> int:
    return rng.randrange(len(data) + 1)


def _span(rng: random.Random, data: bytes, most: int = 4096) -> tuple[int, int]:
    start = _at(rng, data)
    return start, min(len(data), start + rng.randint(1, most))


def _flip(rng: random.Random, data: bytes, first: int, last: int, count: int) -> bytes:
    out = bytearray(data)
    for _ in range(count if first < last else 0):
        at = rng.randrange(first, last)
        out[at] = rng.randrange(256) if rng.random() < 0.5 else out[at] ^ (1 << rng.randrange(8))
    return bytes(out)


def flip_few(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return _flip(rng, data, 0, len(data), rng.randint(1, 6))


def flip_many(rng: random.Random, data: bytes, other: bytes) -> bytes:
    share = rng.choice([0.001, 0.01, 0.05])
    return _flip(rng, data, 0, len(data), max(4, int(len(data) * share)))


def flip_head(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return _flip(rng, data, 0, min(len(data), END_BYTES), rng.randint(1, 20))


def flip_tail(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return _flip(rng, data, max(0, len(data) - END_BYTES), len(data), rng.randint(1, 20))


def truncate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: _at(rng, data)]


def cut_front(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[_at(rng, data) :]


def splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The front of one and the back of the other."""
    return data[: _at(rng, data)] + other[_at(rng, other) :]


def implant(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A piece of the other in the middle."""
    start, end = _span(rng, other)
    at = _at(rng, data)
    return data[:at] + other[start:end] + data[at + rng.choice([0, end - start]) :]


def repeat(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(rng, data)
    times = rng.choice([1, 1, 2, 10, 200])
    return data[:end] + data[start:end] * times + data[end:]


def remove(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def blank(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(rng, data)
    return data[:start] + rng.choice([b"\0", b"\xff"]) * (end - start) + data[end:]


def set_integers(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Counts, sizes and offsets as no writer would state them."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        width = rng.choice([1, 2, 4, 4, 8])
        value = rng.choice(_INTEGERS) & ((1 << 8 * width) - 1)
        at = rng.randrange(min(len(out), 8192) + 1) if rng.random() < 0.5 else rng.randrange(len(out) + 1)
        out[at : at + width] = value.to_bytes(width, rng.choice(["little", "big"]))
    return bytes(out[: len(data) + 8])


def set_numbers(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The same where numbers are written in digits."""
    found = list(_DIGITS.finditer(data))
    for match in sorted(rng.sample(found, min(len(found), rng.randint(1, 5))), key=lambda m: -m.start()):
        data = data[: match.start()] + rng.choice(_NUMBERS) + data[match.end() :]
    return data


def nest(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Something opened thousands of times and never closed."""
    at = _at(rng, data)
    return data[:at] + rng.choice(_OPENINGS) * rng.choice([50, 1000, 30_000]) + data[at:]


def move_block(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, end = _span(rng, data)
    rest = data[:start] + data[end:]
    at = _at(rng, rest)
    return rest[:at] + data[start:end] + rest[at:]


PLAIN: dict[str, Mutation] = {
    function.__name__: function
    for function in (
        flip_few, flip_many, flip_head, flip_tail, truncate, cut_front, splice, implant, repeat, remove,
        blank, set_integers, set_numbers, nest, move_block,
    )
}  # fmt: skip


def mutate(rng: random.Random, data: bytes, other: bytes) -> tuple[str, bytes]:
    """One kind of damage, and the damaged bytes; never the same bytes as before."""
    for _ in range(8):
        name = rng.choice(list(PLAIN))
        damaged = PLAIN[name](rng, data, other)[:MOST_BYTES]
        if damaged != data:
            return name, damaged
    return "append", data + b"\0"
