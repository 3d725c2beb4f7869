"""Which paragraphs of a DOCX are headings or list items, and with which number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
BULLET = "- "
MAX_NUMBER = 100_000

_TABLE_STYLE = b'<w:style w:type="table"'
_STYLE_END = b"</w:style>"
_HEADING_NAME = re.compile(r"(?:heading|제목|개요)\s*([1-9])", re.I)
_CONTENTS_NAME = re.compile(r"(?:toc|목차)\s*\d", re.I)
_PLACE = re.compile(r"%([1-9])")
_KOREAN = "가나다라마바사아자차카타파하"
_ROMAN = ((100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))


@dataclass(frozen=True, slots=True)
class Level:
    """How one level of a list is numbered: its format, its pattern (``제%1조``) and first number."""

    form: str
    pattern: str
    start: int


class Styles:
    """Heading level and list membership by style, inherited from the style it is based on."""

    def __init__(self, root: _Element) -> None:
        self._styles = {style.get(f"{W}styleId"): style for style in root.iterchildren(f"{W}style")}
        self._levels: dict[str | None, int] = {}

    def level(self, paragraph: _Element) -> int:
        """1 to 9 for a heading, 0 for text."""
        own = _outline_level(paragraph)
        if own is not None:
            return own
        name = value(paragraph, "pPr/pStyle")
        if name not in self._levels:
            self._levels[name] = self._style_level(paragraph)
        return self._levels[name]

    def is_contents(self, paragraph: _Element) -> bool:
        """Whether the paragraph is a line of the table of contents: a heading's repetition."""
        style = self._styles.get(value(paragraph, "pPr/pStyle") or "")
        return style is not None and bool(_CONTENTS_NAME.match(value(style, "name") or ""))

    def numbering(self, paragraph: _Element) -> tuple[str, int] | None:
        """(list, level from 0) of a paragraph with a number or bullet."""
        number, level = None, None
        for node in (paragraph, *self._chain(paragraph)):
            number = number or value(node, "pPr/numPr/numId")
            level = level or value(node, "pPr/numPr/ilvl")
            if number is not None:
                break
        if number is None or number == "0":
            return None
        return number, min(_integer(level, 0), 8)

    def _style_level(self, paragraph: _Element) -> int:
        for style in self._chain(paragraph):
            name = value(style, "name") or ""
            if match := _HEADING_NAME.match(name):
                return int(match[1])
            if name.lower() in ("title", "제목"):
                return 1
            if (level := _outline_level(style)) is not None:
                return level
        return 0

    def _chain(self, paragraph: _Element) -> Iterator[_Element]:
        name, seen = value(paragraph, "pPr/pStyle"), set[str]()
        while name and name not in seen and name in self._styles and len(seen) < 20:
            seen.add(name)
            yield self._styles[name]
            name = value(self._styles[name], "basedOn")


class Numbering:
    """Counts the items of each list as a reader sees them."""

    def __init__(self, root: _Element) -> None:
        abstract = {node.get(f"{W}abstractNumId"): node for node in root.iterchildren(f"{W}abstractNum")}
        self._abstract_of = {
            node.get(f"{W}numId") or "": value(node, "abstractNumId") or ""
            for node in root.iterchildren(f"{W}num")
        }
        self._levels = {name: _levels(node) for name, node in abstract.items()}
        self._counts: dict[str, dict[int, int]] = {}

    def label(self, number: str, depth: int) -> str:
        """The next item's number as its list writes it (``2.1``, ``제3조``); "" for a bullet."""
        name = self._abstract_of.get(number, "")
        levels = self._levels.get(name, {})
        level = levels.get(depth)
        if level is None:
            return ""
        counts = self._counts.setdefault(name, {})
        counts[depth] = counts.get(depth, level.start - 1) + 1
        for deeper in [key for key in counts if key > depth]:
            del counts[deeper]
        if level.form in ("bullet", "none"):
            return ""
        return _PLACE.sub(lambda match: _count(levels, counts, int(match[1]) - 1), level.pattern).strip()


def without_table_styles(data: bytes) -> bytes:
    r"""The XML of the styles without those of tables, which no paragraph has.

    They are nine tenths of the styles that Word and python-docx write by default, and were half
    of the time of a short document.

    >>> without_table_styles(b'<w:style w:type="table" w:styleId="T"><w:name/></w:style><w:style/>')
    b'<w:style/>'
    """
    kept, at = [], 0
    while (start := data.find(_TABLE_STYLE, at)) >= 0:
        end = data.find(_STYLE_END, start)
        if end < 0:
            break
        kept.append(data[at:start])
        at = end + len(_STYLE_END)
    return b"".join((*kept, data[at:]))


def value(node: _Element, path: str) -> str | None:
    """The ``w:val`` of the first node at a path of ``w:`` names."""
    found = node.find(_with_namespace(path))
    return None if found is None else found.get(f"{W}val")


@cache
def _with_namespace(path: str) -> str:
    return "/".join(W + step for step in path.split("/"))


def _count(levels: dict[int, Level], counts: dict[int, int], depth: int) -> str:
    level = levels.get(depth)
    if level is None:
        return ""
    return _formatted(counts.get(depth, level.start), level.form)


def _levels(abstract: _Element) -> dict[int, Level]:
    found = {}
    for node in abstract.iterchildren(f"{W}lvl"):
        pattern = (value(node, "lvlText") or "")[:40]
        start = min(_integer(value(node, "start"), 1), MAX_NUMBER)
        form = value(node, "numFmt") or "decimal"
        found[_integer(node.get(f"{W}ilvl"), 0)] = Level(form, pattern, start)
    return found


def _formatted(number: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter"):
        letter = chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 3)
        return letter.upper() if form == "upperLetter" else letter
    if form in ("lowerRoman", "upperRoman") and 0 < number < 400:
        return _roman(number).upper() if form == "upperRoman" else _roman(number)
    if form == "ganada":
        return _KOREAN[(number - 1) % len(_KOREAN)]
    if form.startswith("decimalEnclosedCircle") and 1 <= number <= 20:
        return chr(0x2460 + number - 1)
    return str(number)


def _roman(number: int) -> str:
    digits = ""
    for amount, sign in _ROMAN:
        digits += sign * (number // amount)
        number %= amount
    return digits


def _outline_level(node: _Element) -> int | None:
    level = value(node, "pPr/outlineLvl")
    if level is None or not level.isdecimal() or len(level) > 3:
        return None
    return int(level) + 1 if int(level) < 9 else 0


def _integer(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 else default
