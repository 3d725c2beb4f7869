"""Source code by its definitions (tree-sitter), or by its top-level blocks."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

from schemas.document import Element, ParsedDocument
from tasks.parsing.code_languages import LANGUAGES, Language
from tasks.parsing.symbols import Span, cut
from tasks.parsing.text import decode, split_blank_lines

if TYPE_CHECKING:
    from tree_sitter import Tree

MAX_TREE_BYTES = 2_000_000
"""Longer files are generated or minified; a tree takes some hundred times their size."""

MAX_LINE_CHARS = 20_000
"""A longer line was not written by hand: nothing in it is a definition that somebody looks for."""

BYTES_PER_STEP = 20
"""The grammar may take one step of work per so many bytes, then the file is read as blocks.

Measured (Nov 2026): ordinary code takes one step per 40-130 bytes. Without a limit random
punctuation cost the Java grammar 95 s and 3.9 GB on 500 kB.
"""

_CONTINUES = re.compile(r"[\s})\]]")


def parse(data: bytes) -> ParsedDocument:
    """Blocks of code: a block begins at an unindented line after a blank one."""
    return ParsedDocument("code", "text/plain", _blocks(decode(data)))


def parse_python(data: bytes) -> ParsedDocument:
    """Definitions and what lies between them, in order; each line once."""
    return _parse(data, LANGUAGES["python"])


def parse_javascript(data: bytes) -> ParsedDocument:
    """As `parse_python`; CommonJS assignments of functions count as definitions."""
    return _parse(data, LANGUAGES["javascript"])


def parse_typescript(data: bytes) -> ParsedDocument:
    """As `parse_python`; JSX is told by the grammar that has fewer errors."""
    return _parse(data, LANGUAGES["typescript"])


def parse_java(data: bytes) -> ParsedDocument:
    """As `parse_python`."""
    return _parse(data, LANGUAGES["java"])


def parse_go(data: bytes) -> ParsedDocument:
    """As `parse_python`; a method is named after its receiver's type."""
    return _parse(data, LANGUAGES["go"])


def parse_c(data: bytes) -> ParsedDocument:
    """As `parse_python`, through conditional compilation."""
    return _parse(data, LANGUAGES["c"])


def parse_cpp(data: bytes) -> ParsedDocument:
    """As `parse_python`, through namespaces and conditional compilation."""
    return _parse(data, LANGUAGES["cpp"])


def parse_rust(data: bytes) -> ParsedDocument:
    """As `parse_python`; an ``impl`` is named after its type."""
    return _parse(data, LANGUAGES["rust"])


def parse_sql(data: bytes) -> ParsedDocument:
    """As `parse_python`; what a statement creates is a definition."""
    return _parse(data, LANGUAGES["sql"])


def _parse(data: bytes, language: Language) -> ParsedDocument:
    source = decode(data)
    return ParsedDocument(language.name, language.mime, _defined(source, language) or _blocks(source))


def _defined(source: str, language: Language) -> tuple[Element, ...]:
    """Elements by definitions; none where the file has no definition or is not to be read."""
    encoded = source.encode("utf-8", "replace")
    lines = source.split("\n")
    if len(encoded) > MAX_TREE_BYTES or max(map(len, lines)) > MAX_LINE_CHARS:
        return ()
    tree = _tree(encoded, language)
    if tree is None:
        return ()
    spans = cut(tree.root_node, language, lines)
    if not any(span.symbol for span in spans):
        return ()
    return tuple(element for span in spans if (element := _element(lines, span)))


def _tree(source: bytes, language: Language) -> Tree | None:
    """The tree of the first grammar that reads all of it, else of the one with fewest errors."""
    trees = [tree for grammar in language.grammars if (tree := _read(source, grammar))]
    whole = next((tree for tree in trees if not tree.root_node.has_error), None)
    return whole or min(trees, key=_errors, default=None)


def _read(source: bytes, grammar: str) -> Tree | None:
    from tree_sitter import Language as Grammar
    from tree_sitter import Parser

    module, function = grammar.split(":")
    steps = 0

    def is_too_much(_offset: int, _has_error: bool) -> bool:
        nonlocal steps
        steps += 1
        return steps > 1000 + len(source) // BYTES_PER_STEP

    parser = Parser(Grammar(getattr(importlib.import_module(module), function)()))
    try:
        return parser.parse(
            lambda offset, _point: source[offset : offset + 65536], progress_callback=is_too_much
        )
    except ValueError:  # it was stopped
        return None


def _errors(tree: Tree) -> int:
    """Bytes at the top that the grammar could not place."""
    return sum(c.end_byte - c.start_byte for c in tree.root_node.children if c.has_error)


def _blocks(source: str) -> tuple[Element, ...]:
    blocks: list[list[str]] = []
    for part in split_blank_lines(source):
        if blocks and _CONTINUES.match(part):
            blocks[-1].append(part)
        else:
            blocks.append([part])
    return tuple(Element("\n\n".join(block), "code") for block in blocks)


def _element(lines: list[str], span: Span) -> Element | None:
    text = "\n".join(lines[span.start : span.end]).strip("\n")
    return Element(text, "code", symbol=span.symbol) if text.strip() else None
