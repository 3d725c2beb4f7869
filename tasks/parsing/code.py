"""Source code: Python by its definitions, everything else by its top-level blocks."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from schemas.document import Element, ParsedDocument
from tasks.parsing.text import decode, split_blank_lines

LARGE_CLASS_LINES = 60
"""A class with more lines gives its methods as elements of their own."""

_CONTINUES = re.compile(r"[\s})\]]")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def parse(data: bytes) -> ParsedDocument:
    """Blocks of code: a block begins at an unindented line after a blank one."""
    return ParsedDocument("code", "text/plain", _blocks(decode(data)))


def parse_python(data: bytes) -> ParsedDocument:
    """Definitions and what lies between them; blocks if this Python cannot read the file."""
    source = decode(data)
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last: deep nesting
        return ParsedDocument("python", "text/x-python", _blocks(source))
    return ParsedDocument("python", "text/x-python", tuple(_cut(tree, source.split("\n"))))


def _blocks(source: str) -> tuple[Element, ...]:
    blocks: list[list[str]] = []
    for part in split_blank_lines(source):
        if blocks and _CONTINUES.match(part):
            blocks[-1].append(part)
        else:
            blocks.append([part])
    return tuple(Element("\n\n".join(block), "code") for block in blocks)


def _cut(tree: ast.Module, lines: list[str]) -> Iterator[Element]:
    """Elements that together hold each line once, in order."""
    done = 0
    for start, end, symbol in _spans(tree.body, lines, ""):
        yield from _element(lines, done, start, "")
        yield from _element(lines, start, end, symbol)
        done = end
    yield from _element(lines, done, len(lines), "")


def _spans(body: list[ast.stmt], lines: list[str], prefix: str) -> Iterator[tuple[int, int, str]]:
    """(first line, line after the last, qualified name), 0-based, in order."""
    end = 0
    for node in body:
        if not isinstance(node, Definition):
            end = node.end_lineno or node.lineno
            continue
        start, end = _first_line(node, lines, end), node.end_lineno or node.lineno
        symbol = prefix + node.name
        if isinstance(node, ast.ClassDef) and end - start > LARGE_CLASS_LINES:
            yield from _class_spans(node, lines, start, symbol)
        else:
            yield start, end, symbol


def _class_spans(
    node: ast.ClassDef, lines: list[str], start: int, symbol: str
) -> Iterator[tuple[int, int, str]]:
    done = start
    for span in _spans(node.body, lines, symbol + "."):
        if span[0] > done:
            yield done, span[0], symbol
        yield span
        done = span[1]
    if (end := node.end_lineno or done) > done:
        yield done, end, symbol


def _first_line(node: Definition, lines: list[str], after: int) -> int:
    """0-based first line, with decorators and the comment directly above, not before `after`."""
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
    while first > after and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return first


def _element(lines: list[str], start: int, end: int, symbol: str) -> Iterator[Element]:
    text = "\n".join(lines[start:end]).strip("\n")
    if text.strip():
        yield Element(text, "code", symbol=symbol)
