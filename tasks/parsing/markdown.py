"""Markdown (CommonMark with tables) and its front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from schemas.document import Element, ElementKind, Metadata, ParsedDocument, PartProblem
from tasks.parsing.dates import parse_date
from tasks.parsing.markdown_tables import with_pipe_tables
from tasks.parsing.markup import fragment_elements
from tasks.parsing.tables import table_elements
from tasks.parsing.text import decode, split_blank_lines
from tasks.parsing.wrapping import line_spaces

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MAX_FRONT_MATTER = 64 * 1024
MAX_WORDS = 200
MAX_WORD_CHARS = 2000
_SOFT_BREAK = "\x00"
"""A line end of the file's layout, until it is known what it stands for; no Markdown text has it."""

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.S)
_GRID = ("+-", "+=", "---")
"""How tables begin that CommonMark does not know: their lines stay."""

_FACT = re.compile(r"[^\s:#\-\[{][^\n:]{0,60}:(?:[ \t]|$)")
_QUOTES = re.compile(r"^[ \t]*(?:>[ \t]*)+", re.M)
_LIST_OF_WORDS = re.compile(r"[,;、]|\s(?=#)")


def parse(data: bytes) -> ParsedDocument:
    """Headings, paragraphs, list items, code and tables; front matter as metadata."""
    source = decode(data)
    facts, body, problems = _split_front_matter(source)
    tokens = _reader().parse(with_pipe_tables(body))
    elements = _with_line_ends(tuple(_Walk(tokens).elements()))
    if not elements and body.strip():  # deeper quotes than the reader follows
        elements = tuple(map(Element, split_blank_lines(_QUOTES.sub("", body))))
    return ParsedDocument("markdown", "text/markdown", elements, _metadata(facts), problems=problems)


@cache
def _reader() -> MarkdownIt:
    """One for all: to make it takes a fifth of the time of a short document, and it keeps no state."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _with_line_ends(elements: tuple[Element, ...]) -> tuple[Element, ...]:
    """The elements with what stands for each soft line end: a space, or nothing inside a Korean word."""
    cut = [e.text.split(_SOFT_BREAK) for e in elements if _SOFT_BREAK in e.text]
    if not cut:
        return elements
    spaces = iter(line_spaces(cut, [line for e in elements for line in e.text.split(_SOFT_BREAK)]))
    return tuple(
        replace(e, text=re.sub(_SOFT_BREAK, lambda _: " " * next(spaces), e.text))
        if _SOFT_BREAK in e.text
        else e
        for e in elements
    )


class _Walk:
    """One pass over the block tokens."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._lists: list[int | None] = []
        self._depth = 0
        self._marker = ""
        self._level = 0
        self._rows: list[list[str]] = []

    def elements(self) -> Iterator[Element]:
        for token in self._tokens:
            kind = token.type
            if kind == "inline":
                yield from self._inline(token)
            elif kind in ("fence", "code_block"):
                if token.content.strip():
                    yield Element(token.content.strip("\n"), "code")
            elif kind == "html_block":
                yield from fragment_elements(token.content)
            elif kind == "table_close":
                yield from table_elements(self._rows)
                self._rows = []
            else:
                self._structure(token)

    def _structure(self, token: Token) -> None:
        kind = token.type
        if kind == "heading_open":
            self._level = int(token.tag[1])
        elif kind == "heading_close":
            self._level = 0
        elif kind == "ordered_list_open":
            self._lists.append(int(token.attrGet("start") or 1))
        elif kind == "bullet_list_open":
            self._lists.append(None)
        elif kind in ("ordered_list_close", "bullet_list_close"):
            self._lists.pop()
        elif kind == "list_item_open":
            self._depth += 1
            self._marker = self._next_marker()
        elif kind == "list_item_close":
            self._depth -= 1
            self._marker = ""
        elif kind == "tr_open":
            self._rows.append([])
        elif kind in ("th_open", "td_open"):
            self._rows[-1].append("")

    def _inline(self, token: Token) -> Iterator[Element]:
        text = plain_text(token.children or ())
        if token.content.startswith(_GRID):
            text = text.replace(_SOFT_BREAK, "\n")
        if self._rows:
            self._rows[-1][-1] = text
        elif text.strip():
            kind: ElementKind = "list_item" if self._depth else "text"
            kind = "heading" if self._level else kind
            yield Element(self._marker + text, kind, level=self._level)
            self._marker = ""

    def _next_marker(self) -> str:
        number = self._lists[-1]
        if number is None:
            return "- "
        self._lists[-1] = number + 1
        return f"{number}. "


def plain_text(children: Sequence[Token]) -> str:
    """What a reader sees: text of links, descriptions of images, no markup."""
    parts = []
    for child in children:
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type == "softbreak":
            parts.append(_SOFT_BREAK)
        elif child.type == "hardbreak":
            parts.append("\n")
        elif child.type == "image":
            parts.append(plain_text(child.children or ()))
    return "".join(parts)


def _split_front_matter(source: str) -> tuple[dict[str, Any], str, tuple[PartProblem, ...]]:
    """The mapping at the start, the rest and what is wrong; without a mapping everything is the rest."""
    match = _FRONT_MATTER.match(source[:MAX_FRONT_MATTER])
    if not match:
        return {}, source, ()
    facts, is_broken = _load_yaml(match[1])
    if is_broken and _FACT.match(match[1]):
        lines = filter(_FACT.match, match[1].split("\n")[:MAX_WORDS])
        read = [value for value, _ in map(_load_yaml, lines) if isinstance(value, dict)]
        facts = {key: value for fact in read for key, value in fact.items()}
    if not isinstance(facts, dict):
        return {}, source, ()
    named = {_key(key): value for key, value in facts.items()}
    return named, source[match.end() :], (_broken_front_matter(),) if is_broken else ()


def _load_yaml(text: str) -> tuple[Any, bool]:
    """The value, and whether it is broken."""
    import yaml

    try:
        return yaml.safe_load(text), False
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date like 2026-13-45
        return None, True


def _broken_front_matter() -> PartProblem:
    return PartProblem(
        "front matter",
        "YAMLError",
        "Its YAML is broken: only the lines that can be read count. Correct it between the two ---.",
    )


def _key(key: Any) -> str:
    """Composed: a file written on a Mac may hold Hangul letter by letter."""
    return normalize("NFC", str(key)).strip().lower()


_KNOWN = {
    "title": ("title", "제목", "문서명"),
    "author": ("author", "authors", "by", "작성자", "저자", "글쓴이"),
    "date": (
        *("date", "published", "created", "created_at", "pubdate", "publishdate", "작성일", "작성일자"),
        *("날짜", "일자", "등록일", "게시일", "시행일", "updated", "수정일"),
    ),
    "tags": ("tags", "tag", "keywords", "categories", "category", "태그", "키워드", "분류", "카테고리"),
    "language": ("lang", "language", "locale", "언어"),
}


def _metadata(facts: dict[str, Any]) -> Metadata:
    known = {name for names in _KNOWN.values() for name in names}
    language = _words(_fact(facts, "language"))
    tags = [word for name in _KNOWN["tags"] for word in _words(facts.get(name), is_list=True)]
    return Metadata(
        title=", ".join(_words(_fact(facts, "title"))) or None,
        author=", ".join(_words(_fact(facts, "author"))) or None,
        authored_at=parse_date(_fact(facts, "date") or ""),
        language=re.split("[-_]", language[0].lower())[0] if language else None,
        tags=tuple(dict.fromkeys(tag for word in tags if (tag := word.lstrip("#").strip()))),
        # `published: false` is no date
        extra={
            key: text
            for key, value in facts.items()
            if (key not in known or isinstance(value, bool)) and (text := _text(value)) is not None
        },
    )


def _text(value: Any) -> str | None:
    """A free field's value: scalars, and lists of them; None for anything nested."""
    if isinstance(value, list):
        return ", ".join(_words(value)) or None
    return str(value) if isinstance(value, str | int | float | date) else None


def _fact(facts: dict[str, Any], name: str) -> Any:
    return next((facts[key] for key in _KNOWN[name] if facts.get(key) and facts[key] is not True), None)


def _words(value: Any, *, is_list: bool = False) -> tuple[str, ...]:
    """Strings of a scalar or a list; of a mapping in a list its name. Other nested values are left out."""
    # YAML may repeat one long text thousands of times by an alias
    values = value[:MAX_WORDS] if isinstance(value, list) else [value]
    names = (v.get("name") if isinstance(v, dict) else v for v in values)
    plain = [v for v in names if isinstance(v, str | int | float | date) and not isinstance(v, bool)]
    words = [str(v)[:MAX_WORD_CHARS].strip() for v in plain]
    if is_list:
        words = [part.strip() for word in words for part in _LIST_OF_WORDS.split(word)]
    return tuple(word for word in words if word)
