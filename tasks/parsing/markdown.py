"""Markdown (CommonMark with tables) and its front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from schemas.document import Element, ElementKind, Metadata, ParsedDocument
from tasks.parsing.dates import parse_date
from tasks.parsing.markup import fragment_elements
from tasks.parsing.tables import table_elements
from tasks.parsing.text import decode

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_FRONT_MATTER = 64 * 1024
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.S)
_LIST_OF_WORDS = re.compile(r"[,;]")


def parse(data: bytes) -> ParsedDocument:
    """Headings, paragraphs, list items, code and tables; front matter as metadata."""
    from markdown_it import MarkdownIt

    source = decode(data)
    facts, body = _split_front_matter(source)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
    elements = tuple(_Walk(tokens).elements())
    return ParsedDocument("markdown", "text/markdown", elements, _metadata(facts))


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
            parts.append(" ")
        elif child.type == "hardbreak":
            parts.append("\n")
        elif child.type == "image":
            parts.append(plain_text(child.children or ()))
    return "".join(parts)


def _split_front_matter(source: str) -> tuple[dict[str, Any], str]:
    """The mapping at the start and the rest; without a mapping everything is the rest."""
    match = _FRONT_MATTER.match(source[:MAX_FRONT_MATTER])
    if not match:
        return {}, source
    import yaml

    try:
        facts = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date like 2026-13-45
        return {}, source
    if not isinstance(facts, dict):
        return {}, source
    return {str(key).lower(): value for key, value in facts.items()}, source[match.end() :]


_KNOWN = {
    "title": ("title",),
    "author": ("author", "authors", "by"),
    "date": ("date", "published", "created", "pubdate", "updated"),
    "tags": ("tags", "keywords", "categories", "category"),
    "language": ("lang", "language", "locale"),
}


def _metadata(facts: dict[str, Any]) -> Metadata:
    known = {name for names in _KNOWN.values() for name in names}
    extra = {
        key: str(value)
        for key, value in facts.items()
        # `published: false` is no date
        if (key not in known or isinstance(value, bool)) and isinstance(value, str | int | float)
    }
    language = _words(_fact(facts, "language"))
    return Metadata(
        title=", ".join(_words(_fact(facts, "title"), split=False)) or None,
        author=", ".join(_words(_fact(facts, "author"), split=False)) or None,
        authored_at=parse_date(_fact(facts, "date") or ""),
        language=re.split("[-_]", language[0].lower())[0] if language else None,
        tags=_words(_fact(facts, "tags")),
        extra=extra,
    )


def _fact(facts: dict[str, Any], name: str) -> Any:
    return next((facts[key] for key in _KNOWN[name] if facts.get(key) and facts[key] is not True), None)


def _words(value: Any, *, split: bool = True) -> tuple[str, ...]:
    """Strings of a scalar or a list; nested values are left out."""
    values = value if isinstance(value, list) else [value]
    words = [str(v).strip() for v in values if isinstance(v, str | int | float)]
    if split:
        words = [part.strip() for word in words for part in _LIST_OF_WORDS.split(word)]
    return tuple(word for word in words if word)
