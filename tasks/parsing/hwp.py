"""HWP 5, Hancom's binary format: paragraphs, outline levels and tables from its records.

Own reader first, unhwp second: unhwp 0.23 lets headers and hidden comments into the text, loses
what follows a footnote in HWPX, and takes outline level 1 for text (fixtures, Nov 2026).
Source: Hancom, "한글문서파일형식 5.0", revision 1.3.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.document import Element, Metadata, ParsedDocument, PartProblem
from schemas.errors import ParseFailed
from tasks.parsing.hwp_blocks import (
    PREVIEW_ONLY,
    TEXT,
    Cell,
    Style,
    flow,
    preview_elements,
    style_named,
    table_blocks,
)
from tasks.parsing.hwp_file import (
    MAX_UNPACKED_BYTES,
    Flag,
    flags_of,
    metadata_of,
    open_file,
    records_of,
    sections,
    unpacked,
)
from tasks.parsing.ole import damaged, stream

if TYPE_CHECKING:
    from olefile import OleFileIO

MIME = "application/x-hwp"
MAX_DEPTH = 64
"""Real documents nest tables a few deep; each level costs stack frames."""

_PARA_SHAPE, _STYLE = 25, 26
_PARA, _TEXT, _CONTROL, _LIST, _SHAPE, _TABLE, _EQUATION = 66, 67, 71, 72, 76, 77, 88
_OUTLINE, _NUMBERED, _BULLETED = 1, 2, 3
# Of the controls in a paragraph's text, these take 8 code units; 10, 13 and 24-31 take one.
_WIDE = re.compile("([\x01-\x09\x0b\x0c\x0e-\x17]).{0,7}", re.S)
_EXTENDED = frozenset("\x01\x02\x03\x0b\x0c\x0e\x0f\x10\x11\x12\x15\x16\x17")
_SINGLE = str.maketrans({"\x18": "-", "\x1e": " ", "\x1f": " ", "\r": None, "\0": None})
_UNSEEN = frozenset(("tcmt", "head", "foot", "secd", "cold"))


def parse(data: bytes) -> ParsedDocument:
    """Headings by outline level, list items, tables and notes; the summary as metadata."""
    with open_file(data) as ole:
        flags, metadata = flags_of(ole), metadata_of(ole)
        if flags & Flag.DISTRIBUTION:
            return _preview(ole, metadata)
        styles = _Styles(unpacked(ole, ["DocInfo"], flags, MAX_UNPACKED_BYTES)[0])
        elements: list[Element] = []
        problems: list[PartProblem] = []
        for name, records, is_cut in sections(ole, flags):
            elements += _blocks(_tree(records).children, styles)
            if is_cut:
                problems.append(_cut_off(name))
    if problems and not elements:
        raise damaged("Hangul")
    return ParsedDocument("hwp", MIME, tuple(elements), metadata, problems=tuple(problems))


def parse_unhwp(data: bytes) -> ParsedDocument:
    """What the library unhwp makes of an HWP or HWPX file; it writes Markdown.

    Raises:
        ParseFailed: it cannot read it.
    """
    import unhwp

    from tasks.parsing import markdown

    options = unhwp.RenderOptions(max_heading_level=6)
    try:
        with unhwp.parse_bytes(data, render_options=options) as result:
            text = result.markdown
            metadata = Metadata(title=result.title or None, author=result.author or None)
    except unhwp.UnhwpError as exc:
        raise damaged("Hangul") from exc
    parsed = markdown.parse(text.encode())
    return ParsedDocument("hwp", MIME, parsed.elements, metadata)


def parse_thorough(data: bytes) -> ParsedDocument:
    """By unhwp, after the checks that keep a locked or overlong file from it."""
    with open_file(data) as ole:
        flags, metadata = flags_of(ole), metadata_of(ole)
        if flags & Flag.DISTRIBUTION:
            return _preview(ole, metadata)
        for _ in sections(ole, flags):  # it would unpack without a limit
            pass
    parsed = parse_unhwp(data)
    return ParsedDocument("hwp", MIME, parsed.elements, metadata)


def parse_plain(data: bytes) -> ParsedDocument:
    """The text of every paragraph, in the file's order; where there is none, the preview."""
    with open_file(data) as ole:
        flags = flags_of(ole)
        found = () if flags & Flag.DISTRIBUTION else tuple(sections(ole, flags))
        texts = [_plain_text(body) for _, records, _ in found for tag, _, body in records if tag == _TEXT]
        elements = tuple(Element(text) for text in texts if text.strip())
        problems = tuple(_cut_off(name) for name, _, is_cut in found if is_cut)
        if not elements:
            return _preview(ole, Metadata())
    return ParsedDocument("hwp", MIME, elements, problems=problems)


# --- the body ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    tag: int
    body: bytes = b""
    children: list[_Node] = field(default_factory=list)


def _tree(records: Iterable[tuple[int, int, bytes]]) -> _Node:
    """The records by their levels; what nests deeper than `MAX_DEPTH` stands beside its parent."""
    root = _Node(0)
    stack = [(-1, root)]
    for tag, level, body in records:
        while stack[-1][0] >= level:
            stack.pop()
        node = _Node(tag, body)
        stack[-1][1].children.append(node)
        if len(stack) < MAX_DEPTH:
            stack.append((level, node))
    return root


class _Styles:
    """Heading level and list membership of paragraphs, from DocInfo."""

    def __init__(self, data: bytes) -> None:
        records = records_of(data)[0]
        self._shapes = [_shape(body) for tag, _, body in records if tag == _PARA_SHAPE]
        self._styles = [_named(body) for tag, _, body in records if tag == _STYLE]

    def of(self, header: bytes) -> Style:
        """The style of a paragraph by its PARA_HEADER."""
        if len(header) < 11:
            return TEXT
        shape, style = struct.unpack_from("<HB", header, 8)
        own = self._shapes[shape] if shape < len(self._shapes) else TEXT
        named = self._styles[style] if style < len(self._styles) else TEXT
        return own if own != TEXT else named


def _shape(body: bytes) -> Style:
    if len(body) < 4:
        return TEXT
    (bits,) = struct.unpack_from("<I", body)
    kind, level = bits >> 23 & 3, bits >> 25 & 7
    if kind == _OUTLINE:
        return Style("heading", level + 1)
    return Style("list_item") if kind in (_NUMBERED, _BULLETED) else TEXT


def _named(body: bytes) -> Style:
    size = int.from_bytes(body[:2], "little") * 2
    return style_named(body[2 : 2 + size].decode("utf-16-le", "replace"))


def _blocks(nodes: Iterable[_Node], styles: _Styles) -> Iterator[Element]:
    """Elements of paragraphs anywhere below, in order."""
    for node in nodes:
        if node.tag == _PARA:
            yield from flow(_items(node, styles), styles.of(node.body))
        elif node.tag in (_SHAPE, _LIST, _CONTROL):
            yield from _blocks(node.children, styles)


def _items(paragraph: _Node, styles: _Styles) -> Iterator[str | tuple[Element, ...]]:
    """The paragraph's text with its tables where they stand, then its notes and text boxes."""
    controls = [node for node in paragraph.children if node.tag == _CONTROL]
    waiting = iter(controls)
    after: list[Element] = []
    text = "".join(_units(node.body) for node in paragraph.children if node.tag == _TEXT)
    at = 0
    for match in _WIDE.finditer(text):
        yield _seen(text[at : match.start()])
        at = match.end()
        if match[1] == "\t":
            yield "\t"
        elif match[1] in _EXTENDED and (node := next(waiting, None)):
            yield from _control(node, styles, after)
    yield _seen(text[at:])
    for node in waiting:
        yield from _control(node, styles, after)
    if after:
        yield tuple(after)


def _control(node: _Node, styles: _Styles, after: list[Element]) -> Iterator[str | tuple[Element, ...]]:
    name = node.body[:4][::-1].decode("latin-1")
    if name == "tbl ":
        yield _table(node, styles)
    elif name == "eqed":
        scripts = [child.body for child in node.children if child.tag == _EQUATION]
        yield from (_counted(body, 4) for body in scripts)
    elif name == "tdut":  # text with small text above it
        yield _counted(node.body, 4)
    elif name not in _UNSEEN:
        after += _blocks(node.children, styles)


def _table(node: _Node, styles: _Styles) -> tuple[Element, ...]:
    """The caption, the table's rows, and tables inside its cells."""
    caption: list[Element] = []
    cells: list[tuple[bytes, list[Element]]] = []
    target, is_inside = caption, False
    for child in node.children:
        if child.tag == _TABLE:
            is_inside = True
        elif child.tag == _LIST and is_inside:
            target = []
            cells.append((child.body, target))
        else:
            target += _blocks([child], styles)
    return (*caption, *table_blocks([_cell(body, blocks) for body, blocks in cells]))


def _cell(body: bytes, blocks: list[Element]) -> Cell:
    column, row, across, down = struct.unpack_from("<4H", body.ljust(16, b"\0"), 8)
    return Cell(row, column, down, across, tuple(blocks))


def _units(body: bytes) -> str:
    """One character per UTF-16 code unit: a control's own data may look like surrogates."""
    units = array("H", body[: len(body) // 2 * 2])
    return "".join(map(chr, units))


def _seen(units: str) -> str:
    text = units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.translate(_SINGLE)


def _plain_text(body: bytes) -> str:
    return _seen(_WIDE.sub(" ", _units(body)))


def _counted(body: bytes, at: int) -> str:
    size = int.from_bytes(body[at : at + 2], "little") * 2
    return body[at + 2 : at + 2 + size].decode("utf-16-le", "replace")


# --- beside the body ----------------------------------------------------------------------


def _preview(ole: OleFileIO, metadata: Metadata) -> ParsedDocument:
    """The preview, the beginning of the text: all that a document for distribution shows."""
    text = stream(ole, "PrvText").decode("utf-16-le", "replace")
    elements = preview_elements(text)
    if not elements:
        raise ParseFailed(
            "The HWP document keeps its text from other programs and has no preview.",
            advice="Save it in Hangul as an ordinary document, or exclude it.",
        )
    return ParsedDocument("hwp", MIME, elements, metadata, problems=(PREVIEW_ONLY,))


def _cut_off(name: str) -> PartProblem:
    return PartProblem(
        name, "ParseFailed", "Its end is damaged or missing. Open the file in Hangul and save it again."
    )
