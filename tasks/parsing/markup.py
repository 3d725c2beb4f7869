"""HTML: blocks of the main content by lxml, facts from the head."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from schemas.document import Element, ElementKind, Metadata, ParsedDocument
from schemas.errors import ParseFailed
from tasks.parsing.dates import parse_date
from tasks.parsing.sniff import bom_encoding
from tasks.parsing.tables import table_elements
from tasks.parsing.text import decode

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_SPAN = 100
MIN_MAIN_SHARE = 0.3

_DROPPED = frozenset(
    re.findall(
        r"\w+",
        """
        audio button canvas datalist dialog footer head iframe input link map math meta nav noscript object
        option script select style svg template textarea title video
        """,
    )
)
_DROPPED_ROLES = frozenset(("navigation", "banner", "contentinfo", "search", "menu"))
_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        """
        address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure
        form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main ol p pre section summary table tbody td
        tfoot th thead tr ul
        """,
    )
)
_HEADING = re.compile(r"h[1-6]")
_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.I)
_SPACE = re.compile(r"[ \t\n\r\f]+")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_KOREAN = ("euc-kr", "ks_c_5601-1987", "ksc5601", "korean")


def parse(data: bytes) -> ParsedDocument:
    """Headings, paragraphs, list items, code and tables of the page's content."""
    root = _tree(decode_html(data))
    if root is None:
        return ParsedDocument("html", "text/html", ())
    elements = tuple(_Walk().elements(_content(root)))
    return ParsedDocument("html", "text/html", elements, _metadata(root))


def fragment_elements(source: str) -> tuple[Element, ...]:
    """Elements of a piece of HTML inside another format."""
    root = _tree(source)
    return () if root is None else tuple(_Walk().elements(root))


def decode_html(data: bytes) -> str:
    """Text by byte order mark, by the page's own declaration if it holds, else as any text."""
    declared = _CHARSET.search(data[:4096])
    if declared and not bom_encoding(data[:4096]):
        name = declared[1].decode("ascii").lower()
        try:
            text = data.decode("cp949" if name in _KOREAN else name)
        except (LookupError, UnicodeError):
            return decode(data)
        return text.replace("\r\n", "\n").replace("\r", "\n")
    return decode(data)


def _tree(text: str) -> _Element | None:
    from lxml import etree

    parser = etree.HTMLParser(
        encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True, no_network=True
    )
    text = _XML_DECLARATION.sub("", text.replace("\0", ""))
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError:  # no element at all
        return None
    if parser.error_log.filter_from_fatals():  # what follows the limit would be lost silently
        raise ParseFailed(
            "The HTML goes beyond a limit of libxml2 (elements nested deeper than 2,048).",
            advice="Save the page again with its own application, or exclude it.",
        )
    return root


def _content(root: _Element) -> _Element:
    """The main element if it holds a good part of the page's text, else everything."""
    mains = root.xpath("//main | //*[@role='main']") or root.xpath("//article")
    if len(mains) == 1:
        whole = sum(len(text) for text in root.xpath("//body//text()"))
        if sum(map(len, mains[0].itertext())) >= MIN_MAIN_SHARE * whole:
            return mains[0]
    return root


class _Walk:
    """One pass over a tree: inline text gathers until a block begins or ends."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._kind: list[tuple[ElementKind, int]] = [("text", 0)]
        self._lists: list[int | None] = []
        self._marker = ""

    def elements(self, root: _Element) -> Iterator[Element]:
        from lxml import etree

        walk = etree.iterwalk(root, events=("start", "end"))
        skipped: _Element | None = None
        for event, node in walk:
            tag = node.tag if isinstance(node.tag, str) else ""
            if event == "start":
                is_whole = self._is_whole(node, tag)
                if is_whole or _is_dropped(node, tag):
                    skipped = node
                    walk.skip_subtree()
                if is_whole:
                    yield from self._flush()
                    yield from _whole(node, tag)
                elif skipped is not node:
                    if tag in _BLOCKS:
                        yield from self._flush()
                        self._enter(node, tag)
                    self._text.append("\0" if tag == "br" else node.text or "")
                continue
            if tag in _BLOCKS and skipped is not node:
                yield from self._flush()
                self._leave(tag)
            skipped = None
            if node is not root:
                self._text.append(node.tail or "")
        yield from self._flush()

    @staticmethod
    def _is_whole(node: _Element, tag: str) -> bool:
        return tag == "pre" or (tag == "table" and _is_data_table(node))

    def _enter(self, node: _Element, tag: str) -> None:
        if _HEADING.fullmatch(tag):
            self._kind.append(("heading", int(tag[1])))
        elif tag in ("ul", "ol"):
            self._lists.append(_integer(node.get("start"), 1) if tag == "ol" else None)
        elif tag == "li":
            self._kind.append(("list_item", 0))
            self._marker = self._next_marker(node)

    def _leave(self, tag: str) -> None:
        if (_HEADING.fullmatch(tag) or tag == "li") and len(self._kind) > 1:
            self._kind.pop()
            self._marker = ""
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()

    def _next_marker(self, node: _Element) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "- "
        number = _integer(node.get("value"), number)
        self._lists[-1] = number + 1
        return f"{number}. "

    def _flush(self) -> Iterator[Element]:
        text = _SPACE.sub(" ", "".join(self._text))
        self._text.clear()
        lines = [line.strip() for line in text.split("\0")]
        text = "\n".join(lines).strip("\n")
        if text:
            kind, level = self._kind[-1]
            if kind == "heading":
                text = " ".join(text.split("\n"))
            yield Element(self._marker + text, kind, level=level)
            self._marker = ""


def _whole(node: _Element, tag: str) -> Iterator[Element]:
    if tag == "pre":
        text = "".join(node.itertext()).strip("\n")
        if text.strip():
            yield Element(text, "code")
        return
    for caption in node.iterchildren("caption"):
        if text := _inline(caption):
            yield Element(text)
    yield from table_elements(_rows(node))


def _is_dropped(node: _Element, tag: str) -> bool:
    if tag in ("html", "body"):  # hidden until a script has run
        return False
    if tag in _DROPPED or node.get("role") in _DROPPED_ROLES or "hidden" in node.attrib:
        return True
    if tag in ("header", "aside"):  # of the page; inside the content they belong to it
        inside = any(a.tag in ("main", "article") for a in node.iterancestors())
        return not inside and node.find(".//h1") is None
    return node.get("aria-hidden") == "true" or bool(_HIDDEN.search(node.get("style") or ""))


def _is_data_table(node: _Element) -> bool:
    """A table that lays out a page holds headings, lists or tables; data do not."""
    return next(node.iter("h1", "h2", "h3", "ul", "ol", "pre", "form"), None) is None and not any(
        inner is not node for inner in node.iter("table")
    )


def _rows(table: _Element) -> list[list[str]]:
    """Cell texts; a cell that spans rows or columns stands in each of them."""
    rows: list[list[str]] = []
    hanging: dict[int, tuple[int, str]] = {}
    for tr in table.iter("tr"):
        row: list[str] = []
        _fill(row, hanging)
        for cell in tr.iterchildren("td", "th"):
            text = _inline(cell)
            down = min(_integer(cell.get("rowspan"), 1), MAX_SPAN)
            for _ in range(min(max(_integer(cell.get("colspan"), 1), 1), MAX_SPAN)):
                if down > 1:
                    hanging[len(row)] = (down - 1, text)
                row.append(text)
            _fill(row, hanging)
        rows.append(row)
    return rows


def _fill(row: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    """Append what hangs down from rows above at the row's next columns."""
    seen: set[int] = set()
    while len(row) in hanging and len(row) not in seen:
        column = len(row)
        left, text = hanging.pop(column)
        if left > 1:
            hanging[column] = (left - 1, text)
        seen.add(column)
        row.append(text)


def _inline(node: _Element) -> str:
    return _SPACE.sub(" ", "".join(node.itertext())).strip()


def _integer(value: str | None, default: int) -> int:
    return int(value) if value and value.strip().isdecimal() and len(value) < 9 else default


def _metadata(root: _Element) -> Metadata:
    facts: dict[str, str] = {}
    for meta in root.iter("meta"):
        name = (meta.get("name") or meta.get("property") or meta.get("itemprop") or "").lower()
        content = (meta.get("content") or "").strip()
        if name and content:
            facts.setdefault(name, content)
    title = next((text for node in root.iter("title") if (text := _inline(node))), None)
    keywords = _first(facts, "keywords", "article:tag") or ""
    description = _first(facts, "description", "og:description")
    return Metadata(
        title=title or _first(facts, "og:title", "dc.title", "dcterms.title"),
        author=_first(facts, "author", "article:author", "dc.creator", "dcterms.creator"),
        authored_at=parse_date(_first(facts, *_DATE_NAMES)),
        language=_language(root),
        tags=tuple(tag for word in keywords.split(",") if (tag := word.strip())),
        extra={"description": description} if description else {},
    )


_DATE_NAMES = (
    "date",
    "article:published_time",
    "datepublished",
    "dc.date",
    "dcterms.created",
    "dcterms.date",
    "pubdate",
    "article:modified_time",
    "last-modified",
)


def _first(facts: dict[str, str], *names: str) -> str | None:
    return next((facts[name] for name in names if name in facts), None)


def _language(root: Any) -> str | None:
    html = root if root.tag == "html" else root.find(".//html")
    value = None if html is None else html.get("lang") or html.get("xml:lang")
    return value.strip().lower().replace("_", "-").split("-")[0] or None if value else None
