"""Bytes to text, in whatever encoding they came."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

SAMPLE_BYTES = 64 * 1024
_UTF8_SAMPLE_BYTES = 1024 * 1024
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
# What UTF-16 without a mark must decode to: ASCII, Hangul, kana, CJK and their punctuation.
_PLAUSIBLE = re.compile(
    "[\t\n\r -~\u00a0-\u00ff\u2010-\u2026\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff5e]"
)
_ANCHOR = re.compile("[ \n\r]")
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\r\f\x1b")
_FALLBACK = "cp1252"
_GUESSED = (
    "big5", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "euc_jp", "gb18030",
    "koi8_r", "shift_jis",
)  # fmt: skip
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Decoded:
    r"""A text with ``\n`` line ends.

    Attributes:
        text: the text.
        encoding: what it was decoded from.
        invalid: how many U+FFFD stand for bytes that the encoding does not have.
    """

    text: str
    encoding: str
    invalid: int


def decode(data: bytes) -> str:
    r"""Text with ``\n`` line ends; bytes that the encoding does not have become U+FFFD."""
    return decode_counted(data).text


def decode_counted(data: bytes) -> Decoded:
    """As `decode`, with what was found out on the way."""
    encoding = encoding_of(data)
    text = data.decode(encoding, "replace").removeprefix("\ufeff")
    invalid = text.count("\ufffd")
    if invalid and encoding == "utf-8":  # the file may hold the character itself
        invalid -= data.count("\ufffd".encode())
    return Decoded(text.replace("\r\n", "\n").replace("\r", "\n"), encoding, max(invalid, 0))


def encoding_of(data: bytes) -> str:
    """The encoding of a text: its mark, UTF-8 if it is, CP949 if that gives Korean, a guess.

    Time is linear: only a sample is guessed at.
    """
    marked = bom_encoding(data[:SAMPLE_BYTES])
    if marked:
        return marked
    if _is_mostly_utf8(data):
        return "utf-8"
    sample = _lines_with_high_bytes(data)
    return "cp949" if _is_korean(sample) else _guess(sample)


def bom_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark names, or the one UTF-16 or -32 without a mark shows."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    sample = head[:4096]
    return _unmarked(sample) if b"\0" in sample else None


def is_binary(head: bytes) -> bool:
    """Whether bytes that no text has (NUL and other controls) are more than stray ones."""
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls >= 4 and controls > len(head) * 0.05


def _unmarked(sample: bytes) -> str | None:
    if len(sample) >= 8 and not any(sample[3::4]) and max(sample[2::4]) <= 0x10:
        return "utf-32-le" if _is_plausible(sample, "utf-32-le") else None
    if len(sample) >= 8 and not any(sample[0::4]) and max(sample[1::4]) <= 0x10:
        return "utf-32-be" if _is_plausible(sample, "utf-32-be") else None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd >= 4 and odd > len(sample) * 0.2 and even * 50 < odd:
        return "utf-16-le"
    if even >= 4 and even > len(sample) * 0.2 and odd * 50 < even:
        return "utf-16-be"
    return next((name for name in ("utf-16-le", "utf-16-be") if _is_plausible(sample, name)), None)


def _is_plausible(sample: bytes, encoding: str) -> bool:
    """Whether the encoding gives letters with spaces: a wrong byte order gives hardly any."""
    text = sample[: len(sample) // 4 * 4].decode(encoding, "replace")
    return len(text) >= 4 and bool(_ANCHOR.search(text)) and len(_PLAUSIBLE.findall(text)) >= 0.95 * len(text)


def _is_mostly_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        start = max(0, exc.start - _UTF8_SAMPLE_BYTES // 2)
        sample = data[start : start + _UTF8_SAMPLE_BYTES]
    else:
        return True
    text = sample.decode("utf-8", "replace")
    invalid = text.count("\ufffd")
    valid = len(text) - len(text.encode("ascii", "ignore")) - invalid
    return valid > 9 * invalid


def _lines_with_high_bytes(data: bytes) -> bytes:
    """Up to 64 KiB of whole lines from the first byte above ASCII on."""
    found = _HIGH_BYTE.search(data)
    first = found.start() if found else 0
    start = data.rfind(b"\n", max(0, first - 4096), first) + 1
    sample = data[start : start + SAMPLE_BYTES]
    whole = len(data) - start <= SAMPLE_BYTES
    return sample if whole else sample.rpartition(b"\n")[0] or sample


def _is_korean(sample: bytes) -> bool:
    """Whether CP949 gives Hangul of the common set (KS X 1001) and hardly anything else.

    Chinese GB text also decodes as CP949, about half of it to Hangul; Shift-JIS decodes to
    Hangul outside the common set.
    """
    text = sample.decode("cp949", "replace")
    hangul = "".join(_HANGUL.findall(text)).encode("cp949")
    common = sum(
        lead >= 0xB0 and trail >= 0xA1 for lead, trail in zip(hangul[::2], hangul[1::2], strict=True)
    )
    high = len(text) - len(text.encode("ascii", "ignore"))
    return common >= 1 and common >= 0.8 * high


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    # A few accents in a short text are too little to guess by.
    if len(sample) < 500 and len(_HIGH_BYTE.findall(sample)) < 0.25 * len(sample):
        return _FALLBACK
    best = from_bytes(sample[: 16 * 1024], cp_isolation=list(_GUESSED)).best()
    return best.encoding if best else _FALLBACK
