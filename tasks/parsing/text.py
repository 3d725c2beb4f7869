"""Plain text in whatever encoding it came."""

from __future__ import annotations

import re

from schemas.document import Element, ParsedDocument
from tasks.parsing.sniff import bom_encoding

SAMPLE_BYTES = 64 * 1024
_BLANK_LINES = re.compile(r"\n[ \t\f\u3000]*(?:\n[ \t\f\u3000]*)+")
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_FALLBACK = "cp1252"
_GUESSED = (
    "big5", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "euc_jp", "gb18030",
    "koi8_r", "shift_jis",
)  # fmt: skip


def parse(data: bytes) -> ParsedDocument:
    """One element per paragraph; paragraphs are apart by blank lines."""
    elements = tuple(Element(part) for part in split_blank_lines(decode(data)))
    return ParsedDocument("text", "text/plain", elements)


def decode(data: bytes) -> str:
    r"""Text with ``\n`` line ends; bytes that the encoding does not have become U+FFFD."""
    text = data.decode(encoding_of(data), "replace")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def split_blank_lines(text: str) -> list[str]:
    """The parts between blank lines, indentation kept, none of them empty."""
    # One pass without look-ahead: runs of blank lines must not cost quadratic time.
    ends = [(m.start(), m.end()) for m in _BLANK_LINES.finditer(text)]
    starts = [0, *(text.rfind("\n", start, end) + 1 for start, end in ends)]
    stops = [*(start for start, _ in ends), len(text)]
    parts = (text[a:b].strip("\n") for a, b in zip(starts, stops, strict=True))
    return [part for part in parts if part.strip()]


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


def _is_mostly_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        invalid = text.count("\ufffd")
        valid = len(text) - len(text.encode("ascii", "ignore")) - invalid
        return valid > 9 * invalid
    return True


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
