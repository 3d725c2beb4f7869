"""The elements of an XML tree: of prose, of records and of feeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from schemas.document import Element
from schemas.errors import ParseFailed
from tasks.parsing.markup import fragment_elements
from tasks.parsing.tables import table_elements

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_LEVEL = 6
MAX_PATH = 8
MAX_ATTRIBUTES = 1000
_HEADINGS = frozenset("title head article-title subtitle bridgehead".split())
_CODE = frozenset("programlisting screen literallayout code preformat codeblock eg".split())
_TABLES = frozenset("table informaltable simpletable tgroup".split())
_ROWS = frozenset("tr row strow sthead".split())
_ITEMS = frozenset("listitem item li list-item step".split())
_SKIPPED = frozenset("teiHeader journal-meta binary".split())
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"


def local(node: _Element | None) -> str:
    """The element's name without its namespace."""
    return node.tag.rpartition("}")[2] if node is not None and isinstance(node.tag, str) else ""


def text_of(node: _Element) -> str:
    """All text inside, spaces as one."""
    return " ".join("".join(node.itertext()).split())


def prose_elements(root: _Element) -> Iterator[Element]:
    """An element with text of its own is a paragraph, with all that is inside it."""
    from lxml import etree

    depth, items, marker = 0, 0, False
    walk = etree.iterwalk(root, events=("start", "end"))
    skipped = None
    for event, node in walk:
        name = local(node)
        if event == "end":
            if node is not skipped:
                depth -= 1
                items -= name in _ITEMS
            continue
        whole = _whole(node, name, depth)
        if whole is None:
            depth += 1
            items += name in _ITEMS
            marker = marker or name in _ITEMS
            continue
        skipped = node
        walk.skip_subtree()
        is_item = bool(items) or name in _ITEMS
        for element in whole:
            yield _as_item(element, first=marker or name in _ITEMS) if is_item else element
            marker = False


def _as_item(element: Element, *, first: bool) -> Element:
    if element.kind != "text":
        return element
    return Element(f"- {element.text}" if first else element.text, "list_item")


def _whole(node: _Element, name: str, depth: int) -> tuple[Element, ...] | None:
    """The elements of a node that is taken whole, None where its children are looked at."""
    if name in _SKIPPED:
        return ()
    if name in _TABLES and (rows := _rows(node)):
        return table_elements(rows)
    if name in _CODE:
        code = "".join(node.itertext()).strip("\n")
        return (Element(code, "code"),) if code.strip() else ()
    if name in _HEADINGS:
        return _heading(node, depth)
    if _has_own_text(node):
        return (Element(text_of(node)),)
    return None


def _heading(node: _Element, depth: int) -> tuple[Element, ...]:
    text = text_of(node)
    return (Element(text, "heading", level=min(max(depth, 1), MAX_LEVEL)),) if text else ()


def _has_own_text(node: _Element) -> bool:
    return bool(node.text and node.text.strip()) or any(c.tail and c.tail.strip() for c in node)


def _rows(table: _Element) -> list[list[str]]:
    return [[text_of(cell) for cell in row] for row in table.iter() if local(row) in _ROWS]


def record_elements(root: _Element) -> Iterator[Element]:
    """One element a record: the children of the outermost element that has several."""
    top = root
    while len(top) == 1 and len(top[0]):
        top = top[0]
    loose: list[str] = [*_attributes(top, local(top))]
    if top.text and top.text.strip():
        loose.append(f"{local(top)}: {text_of(top)}")
    for child in top:
        if len(child) == 0:
            loose += _leaf_lines(child, local(child))
            continue
        if loose:
            yield Element("\n".join(loose))
            loose = []
        if lines := list(_record_lines(child)):
            yield Element("\n".join(lines))
    if loose:
        yield Element("\n".join(loose))


def _record_lines(record: _Element) -> Iterator[str]:
    """``path: text`` of everything inside that has text; the path begins inside the record."""
    from lxml import etree

    path: list[str] = []
    for event, node in etree.iterwalk(record, events=("start", "end")):
        if event == "start":
            path.append(local(node))
            yield from _leaf_lines(node, ".".join(path[1:][-MAX_PATH:]))
        else:
            path.pop()


def _leaf_lines(node: _Element, path: str) -> Iterator[str]:
    if node.text and node.text.strip():
        yield f"{path or local(node)}: {' '.join(node.text.split())}"
    yield from _attributes(node, path)
    if node.tail and node.tail.strip():
        yield " ".join(node.tail.split())


def _attributes(node: _Element, path: str) -> Iterator[str]:
    if len(node.attrib) > MAX_ATTRIBUTES:  # lxml takes quadratic time to list them
        raise ParseFailed("An element of the XML has thousands of attributes.", advice="Exclude it.")
    for name, value in node.items():
        if value.strip() and not name.startswith(_XSI):
            key = name.rpartition("}")[2]
            yield f"{path}.{key}: {' '.join(value.split())}" if path else f"{key}: {' '.join(value.split())}"


def feed_elements(root: _Element) -> Iterator[Element]:
    """The feed's title and text, then each entry under its title."""
    from lxml import etree

    entries = [node for node in root.iter(etree.Element) if local(node) in ("item", "entry")]
    channel = next((node for node in root.iter(etree.Element) if local(node) == "channel"), root)
    yield from _entry(channel, 1)
    for entry in entries:
        yield from _entry(entry, 2)


def _entry(entry: _Element, level: int) -> Iterator[Element]:
    fields: dict[str, str] = {}
    for child in entry:
        name = local(child)
        if name in ("title", "description", "summary", "content", "encoded", "subtitle"):
            fields.setdefault(name, "".join(child.itertext()).strip())
    if title := " ".join(fields.pop("title", "").split()):
        yield Element(title, "heading", level=level)
    bodies = [text for text in fields.values() if text]
    if "encoded" in fields or "content" in fields:  # the whole text: the summary repeats it
        bodies = [text for name, text in fields.items() if name in ("encoded", "content") and text]
    for body in bodies:
        yield from fragment_elements(body)
