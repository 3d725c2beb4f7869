"""Charts and diagrams (SmartArt) inside office documents: their words and cached values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from schemas.document import Element
from tasks.parsing.tables import table_elements

if TYPE_CHECKING:
    from lxml.etree import _Element

    from tasks.parsing.package import Package, Relation

MAX_POINTS = 10_000
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_NODES = (None, "node", "doc", "asst")


class Drawings:
    """The charts and diagrams that one part links to; each is read once however often it is shown."""

    def __init__(self, package: Package, links: Mapping[str, Relation]) -> None:
        self._package = package
        self._links = links
        self._seen: set[str] = set()

    def elements(self, node: _Element, page: int | None = None) -> Iterator[Element]:
        """What stands in the charts and diagrams under a node, in order."""
        for found in node.iter(f"{CHART}chart", f"{DIAGRAM}relIds"):
            is_chart = found.tag == f"{CHART}chart"
            link = self._links.get(found.get(f"{R}id" if is_chart else f"{R}dm") or "")
            if link is None or link.target in self._seen:
                continue
            self._seen.add(link.target)
            root = self._package.optional_xml(link.target)
            yield from chart_elements(root, page) if is_chart else diagram_elements(root, page)


def chart_elements(root: _Element, page: int | None) -> Iterator[Element]:
    """A chart's title as text and its cached values as a table, a row for each category."""
    title = root.find(f".//{CHART}chart/{CHART}title")
    if title is not None and (words := _words(title)):
        yield Element(words, page=page)
    names, columns = [""], []
    categories: dict[int, str] = {}
    for series in root.iter(f"{CHART}ser"):
        label = series.find(f"{CHART}tx")
        names.append("" if label is None else " ".join(_points(label).values()))
        labels, values = (_first(series, *tags) for tags in (("cat", "xVal"), ("val", "yVal")))
        categories = categories or labels
        columns.append(values)
    places = sorted({*categories, *(place for column in columns for place in column)})
    rows = [[categories.get(p, str(p + 1)), *(column.get(p, "") for column in columns)] for p in places]
    yield from table_elements([names, *rows] if rows else [], page)


def diagram_elements(root: _Element, page: int | None) -> Iterator[Element]:
    """The words of a diagram's nodes as list items, in the order in which they were made."""
    for point in root.iter(f"{DIAGRAM}pt"):
        if point.get("type") in _NODES and (words := _words(point)):
            yield Element("- " + words, "list_item", page=page)


def _first(series: _Element, *tags: str) -> dict[int, str]:
    for tag in tags:
        node = series.find(CHART + tag)
        if node is not None:
            return _points(node)
    return {}


def _points(node: _Element) -> dict[int, str]:
    """Cached values by their place; of categories in levels only the innermost."""
    level = node.find(f".//{CHART}lvl")
    points: dict[int, str] = {}
    for point in (node if level is None else level).iter(f"{CHART}pt"):
        place = point.get("idx") or ""
        value = (point.findtext(f"{CHART}v") or "").strip()
        if place.isdecimal() and len(place) < 8 and value and len(points) < MAX_POINTS:
            points[int(place)] = shown_number(value)
    if not points and (value := (node.findtext(f"{CHART}v") or "").strip()):
        points[0] = value
    return points


def shown_number(text: str) -> str:
    """A stored number as people read it (15 digits, as spreadsheets show); other text as it is.

    >>> shown_number("0.30000000000000004"), shown_number("1234.0"), shown_number("Q1")
    ('0.3', '1234', 'Q1')
    """
    if len(text) < 3 or not any(c in text for c in ".eE") or len(text) > 32:
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    return f"{value:.15g}" if abs(value) < 1e300 else text


def _words(node: _Element) -> str:
    lines = ("".join(t.text or "" for t in p.iter(f"{A}t")) for p in node.iter(f"{A}p"))
    return " ".join(" ".join(lines).split())
