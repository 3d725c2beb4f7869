"""Paragraphs, lists and tables from what an RTF reader meets, in order."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from schemas.document import Element, Metadata
from tasks.parsing.rtf_tables import MAX_COLUMNS, Row, row_texts
from tasks.parsing.rtf_words import BULLETS
from tasks.parsing.tables import table_elements

MAX_LEVEL = 9
_HEADING_NAME = re.compile(r"(?:heading|제목|개요)\s*([1-9])\s*;?$", re.I)
_TITLE_NAMES = ("title", "제목")
_BODY_LEVEL = -1


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Properties of a paragraph: style number, outline level (0 is the highest), in a table."""

    style: int = 0
    level: int = _BODY_LEVEL
    in_table: bool = False


@dataclass(slots=True)
class Group:
    """What a group inherits from the one around it and changes for itself."""

    sink: str = "body"
    font: int = -1
    east_font: int = -1
    script: str = "loch"
    fallback_chars: int = 1
    is_hidden: bool = False
    paragraph: Paragraph = field(default_factory=Paragraph)
    skips_next: bool = False
    """Whether the next group inside says in the code page what the one after it says in Unicode."""

    def inner(self) -> Group:
        """What a group inside this one begins with (ten times the speed of `copy`)."""
        return Group(
            self.sink,
            self.font,
            self.east_font,
            self.script,
            self.fallback_chars,
            self.is_hidden,
            self.paragraph,
        )


class Blocks:
    """Gathers text until something ends a paragraph, a cell or a row."""

    def __init__(self) -> None:
        self._elements: list[Element] = []
        self._text: list[str] = []
        self._marker: list[str] = []
        self._note: list[str] = []
        self._notes: list[Element] = []
        self._row: list[str] = []
        self._rows: list[Row] = []
        self._inner_row: list[str] = []
        self._inner_rows: list[list[str]] = []
        self._inner_tables: list[Element] = []
        self._merges: list[frozenset[str]] = []
        self._next_merge: set[str] = set()
        self._edges: list[int] = []
        self._style_names: dict[int, str] = {}
        self._style_levels: dict[int, int] = {}

    def finish(self) -> tuple[Element, ...]:
        """All elements; the notes last."""
        self.end_paragraph(Paragraph())
        return (*self._elements, *self._notes)

    def put(self, text: str, sink: str) -> None:
        """Add text to the paragraph (``body``), its list marker or the note."""
        {"body": self._text, "marker": self._marker, "note": self._note}[sink].append(text)

    def name_style(self, number: int, text: str) -> None:
        """Add to a style's name."""
        self._style_names[number] = (self._style_names.get(number, "") + text)[:200]

    def level_style(self, number: int, level: int) -> None:
        """Give a style its outline level."""
        self._style_levels[number] = level

    def end_note(self) -> None:
        """End a footnote or endnote."""
        if text := _joined(self._note):
            self._notes.append(Element(text))

    def end_paragraph(self, paragraph: Paragraph) -> None:
        """End a paragraph; inside a table it is a line of its cell."""
        if paragraph.in_table:
            self._text.append("\n")
            return
        self._end_table()
        marker, text = _joined(self._marker), _joined(self._text)
        if not text:
            return
        level = self._level(paragraph)
        if level:
            number = f"{marker} " if any(char.isdigit() for char in marker) else ""
            self._elements.append(Element(" ".join((number + text).split()), "heading", level=level))
        elif marker:
            self._elements.append(Element(f"{'-' if marker in BULLETS else marker} {text}", "list_item"))
        else:
            self._elements.append(Element(text))

    def table_word(self, word: str, number: int = 0) -> None:
        """Take in the end of a cell or row, or the definition of a row or cell (its right edge)."""
        if word == "cell":
            self._end_inner()
            self._append(self._row)
        elif word == "nestcell":
            self._append(self._inner_row)
        elif word == "nestrow":
            self._inner_rows.append(self._inner_row)
            self._inner_row = []
        elif word == "row":
            self._end_row()
        elif word == "trowd":
            self._merges, self._next_merge, self._edges = [], set(), []
        elif word == "cellx":
            self._merges.append(frozenset(self._next_merge))
            self._edges.append(number)
            self._next_merge = set()

    def merge(self, word: str) -> None:
        """Note how the next cell to be defined is merged."""
        self._next_merge.add(word)

    def _append(self, row: list[str]) -> None:
        text = self._take_cell()
        if len(row) < MAX_COLUMNS:
            row.append(text)
        elif text:
            row[-1] += " " + text

    def _take_cell(self) -> str:
        marker = _joined(self._marker)
        text = _joined(self._text)
        return f"{marker} {text}" if marker and marker not in BULLETS and text else text

    def _end_inner(self) -> None:
        if self._inner_row:
            self._inner_rows.append(self._inner_row)
        self._inner_tables += table_elements(self._inner_rows)
        self._inner_row, self._inner_rows = [], []

    def _end_row(self) -> None:
        self._rows.append(Row(self._row, self._merges, self._edges))
        self._row = []

    def _end_table(self) -> None:
        """Put out the rows so far; a table of one cell is a frame around its text."""
        if self._row:  # the row's end is missing
            self._end_row()
        self._end_inner()
        rows = row_texts(self._rows)
        if [len(row) for row in rows] == [1]:
            if rows[0][0]:
                self._elements.append(Element(rows[0][0]))
        else:
            self._elements += table_elements(rows)
        self._elements += self._inner_tables
        self._rows, self._inner_tables = [], []

    def _level(self, paragraph: Paragraph) -> int:
        """1 to 9 for a heading, 0 for text."""
        if paragraph.level != _BODY_LEVEL:
            return paragraph.level + 1 if 0 <= paragraph.level < MAX_LEVEL else 0
        name = self._style_names.get(paragraph.style, "").strip().rstrip(";").lower()
        if match := _HEADING_NAME.match(name):
            return int(match[1])
        if name in _TITLE_NAMES:
            return 1
        level = self._style_levels.get(paragraph.style, MAX_LEVEL)
        return level + 1 if 0 <= level < MAX_LEVEL else 0


class Info:
    """What the document says of itself."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._times: dict[str, dict[str, int]] = {}

    def put(self, name: str, text: str) -> None:
        """Add to a text."""
        self._texts.setdefault(name, []).append(text)

    def set_time(self, name: str, part: str, value: int) -> None:
        """Give a date its year, month, day, hour or minute."""
        self._times.setdefault(name, {})[part] = value

    def metadata(self) -> Metadata:
        """Title, author, date and keywords."""
        facts = {name: " ".join(_joined(parts).split()) for name, parts in self._texts.items()}
        words = map(str.strip, re.split("[,;]", facts.get("keywords", "")))
        names = (("subject", "subject"), ("comments", "doccomm"))
        return Metadata(
            title=facts.get("title") or None,
            author=facts.get("author") or None,
            authored_at=self._date("creatim") or self._date("revtim"),
            tags=tuple(word for word in words if word),
            extra={name: facts[key] for name, key in names if facts.get(key)},
        )

    def _date(self, name: str) -> datetime | None:
        time = self._times.get(name, {})
        parts = (
            time.get("yr", 0),
            time.get("mo", 1),
            time.get("dy", 1),
            time.get("hr", 0),
            time.get("min", 0),
        )
        try:
            return datetime(*parts, tzinfo=UTC)
        except (ValueError, OverflowError):  # year 0: no date
            return None


def _joined(parts: list[str]) -> str:
    """The text of the parts, which are emptied; UTF-16 pairs become characters."""
    text = "".join(parts).strip()
    parts.clear()
    if any("\ud800" <= char <= "\udfff" for char in text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
