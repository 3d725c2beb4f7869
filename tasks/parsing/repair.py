"""Mojibake: text that was once decoded by the wrong encoding, put right where that is certain.

Two kinds: UTF-8 read as Windows-1252 or Latin-1, once or more (ftfy decides), and Korean
CP949 read as Latin-1 (``¾È³çÇÏ¼¼¿ä``). Code is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from schemas.document import Element, ParsedDocument

MAX_LINE_CHARS = 100_000
"""Longer lines are no prose; ftfy repairs about a megabyte a second."""

MAX_REST_SHARE = 0.2
"""Signs beyond ASCII that are no part of a wrongly read character, for one that is."""

# Bytes 80-BF as Windows-1252 and Latin-1 show them: what follows the first byte in UTF-8.
_NEXT = (
    "[\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018\u2019"
    "\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178]"
)
_UTF8 = re.compile(f"[\u00c2-\u00df]{_NEXT}|[\u00e0-\u00ef]{_NEXT}{{2}}|[\u00f0-\u00f4]{_NEXT}{{3}}")
# Two Hangul of KS X 1001 as Latin-1 shows their bytes; European words never have four such signs in a row.
_CP949 = re.compile("(?:[\u00b0-\u00c8][\u00a1-\u00fe]){2}")
_HANGUL = re.compile("[\uac00-\ud7a3]")
_HIGH = re.compile("[^\x00-\x7f]")
# The most frequent syllables: over half of any Korean prose, 2 % of syllables taken at random.
_FREQUENT = frozenset(
    "이다는의에을고하가지를은도한로사서기어나자리대아해있그보일시들정수인부라과제게국원주여성것공스만으전"
    "내관경장적세안상동조물연구회명생선중소개분위"
)
_MIN_FREQUENT_SHARE = 0.2
_MIN_HANGUL = 3
_MIN_RESTORED_SHARE = 0.9

_Repair = Callable[[str], str]


def repair(parsed: ParsedDocument) -> ParsedDocument:
    """The document with its text, title and author put right; itself where nothing is wrong.

    Repaired documents carry ``repaired: mojibake`` in their metadata.
    """
    body = _body_repair(parsed)
    elements = parsed.elements
    if body:
        elements = tuple(_repaired(element, body) for element in elements)
    meta = parsed.metadata
    title, author = _short(meta.title), _short(meta.author)
    if elements == parsed.elements and (title, author) == (meta.title, meta.author):
        return parsed
    extra = {**meta.extra, "repaired": "mojibake"}
    return replace(parsed, elements=elements, metadata=replace(meta, title=title, author=author, extra=extra))


def _body_repair(parsed: ParsedDocument) -> _Repair | None:
    """How lines of the body are repaired, None where no line looks wrong."""
    texts = [e.text for e in parsed.elements if e.kind != "code" and not e.text.isascii()]
    if any(map(_CP949.search, texts)) and _is_korean("\n".join(texts)[: 4 * MAX_LINE_CHARS]):
        return _from_latin1
    if any(map(_UTF8.search, texts)):
        return _from_utf8
    return None


def _repaired(element: Element, fix: _Repair) -> Element:
    if element.kind == "code" or element.text.isascii():
        return element
    lines = element.text.split("\n")
    fixed = [line if line.isascii() or len(line) > MAX_LINE_CHARS else fix(line) for line in lines]
    return element if fixed == lines else replace(element, text="\n".join(fixed))


def _short(text: str | None) -> str | None:
    if not text or text.isascii() or len(text) > MAX_LINE_CHARS:
        return text
    if _CP949.search(text) and _is_korean(text):
        return _from_latin1(text)
    return _from_utf8(text) if _UTF8.search(text) else text


def _from_utf8(line: str) -> str:
    """The line as ftfy repairs it; as it is where right accents stand beside what looks wrong."""
    rest, found = _UTF8.subn("", line)
    if not found or len(_HIGH.findall(rest)) > MAX_REST_SHARE * found:
        return line
    import ftfy

    return ftfy.fix_encoding(line)


def _from_latin1(line: str) -> str:
    """The line as CP949 where all of it can be, else as it is."""
    try:
        return _bytes(line).decode("cp949")
    except UnicodeError:
        return line


def _bytes(text: str) -> bytes:
    import ftfy.bad_codecs  # noqa: F401 - registers the codec

    return text.encode("sloppy-windows-1252")


def _is_korean(text: str) -> bool:
    """Whether nearly every sign beyond ASCII is a half of a Hangul, and they read as Korean."""
    high = len(_HIGH.findall(text))
    found = "".join(_HANGUL.findall("".join(map(_new, text.split("\n")))))
    frequent = sum(syllable in _FREQUENT for syllable in found)
    return (
        len(found) >= _MIN_HANGUL
        and 2 * len(found) >= (_MIN_RESTORED_SHARE - 0.1) * high
        and frequent >= _MIN_FREQUENT_SHARE * len(found)
    )


def _new(line: str) -> str:
    fixed = _from_latin1(line)
    return "" if fixed == line else fixed
