"""The definitions of a syntax tree: where each begins and ends, and its qualified name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tasks.parsing.code_languages import Language

if TYPE_CHECKING:
    from tree_sitter import Node

LARGE_CLASS_LINES = 60
"""A class with more lines gives its methods as elements of their own."""

MAX_NESTING = 12
MAX_SYMBOL_CHARS = 200
_FUNCTIONS = ("arrow_function", "function_expression", "generator_function", "class")
_TEMPLATE = re.compile(r"<[^<>]*>")
_CLOSING = re.compile(r"(?:[\s{}()\[\];,]|#endif[^\n]*|//[^\n]*|/\*[^\n]*\*/)*")


@dataclass(frozen=True, slots=True)
class Span:
    """Lines ``start:end`` (0-based) and the definition they are, "" for none."""

    start: int
    end: int
    symbol: str


def cut(root: Node, language: Language, lines: list[str]) -> list[Span]:
    """Spans in order that together hold each line once."""
    return _merge_closings(list(_fill(_spans(root, language, "", 0), 0, len(lines), "")), lines)


def _spans(parent: Node, language: Language, prefix: str, depth: int) -> Iterator[Span]:
    """The definitions among the children, each with the comments directly above it."""
    done = _rows(parent)[0]
    above = Span(done, done, "")
    for child in parent.named_children:
        start, end = _rows(child)
        if child.type in language.attached:
            if start >= done:  # not behind something on the same line
                above = Span(start if start > above.end or above.end <= done else above.start, end, "")
            continue
        first = above.start if above.end == start and above.start >= done else start
        node = _unwrap(child, language)
        for span in _opened(node, Span(max(first, done), end, ""), language, prefix, depth):
            if span.end > done:
                yield replace(span, start=max(span.start, done))
                done = span.end
        done = max(done, end)


def _opened(node: Node, whole: Span, language: Language, prefix: str, depth: int) -> Iterator[Span]:
    """A definition as one span, or as its header, its members and its end."""
    scope = node.type in language.scopes or node.type == "ERROR"
    named = node.type in language.definitions or (
        scope and node.type != "ERROR" and not node.type.startswith("preproc")
    )
    name = symbol_of(node) if named else ""
    symbol = _qualified(prefix, name)
    long_class = node.type in language.classes and whole.end - whole.start > LARGE_CLASS_LINES
    if (scope or long_class) and depth < MAX_NESTING:
        body = node.child_by_field_name("body") or node
        yield from _fill(_spans(body, language, symbol, depth + 1), whole.start, whole.end, symbol)
    elif name:
        yield replace(whole, symbol=symbol)


def _fill(spans: Iterator[Span], start: int, end: int, symbol: str) -> Iterator[Span]:
    """The spans, with what lies before, between and after them under `symbol`."""
    done = start
    for span in spans:
        if span.start > done:
            yield Span(done, span.start, symbol)
        yield span
        done = max(done, span.end)
    if end > done:
        yield Span(done, end, symbol)


def _merge_closings(spans: list[Span], lines: list[str]) -> list[Span]:
    """Lines that only close something belong to what they follow: no element is a brace."""
    merged: list[Span] = []
    for span in spans:
        if merged and _CLOSING.fullmatch("\n".join(lines[span.start : span.end])):
            merged[-1] = replace(merged[-1], end=span.end)
        else:
            merged.append(span)
    return merged


def _rows(node: Node) -> tuple[int, int]:
    """First line and line after the last; some nodes end with their newline."""
    start, end = node.start_point.row, node.end_point.row + (node.end_point.column > 0)
    return start, max(end, start + 1)


def _unwrap(node: Node, language: Language) -> Node:
    for _ in range(4):
        if node.type not in language.wrappers:
            break
        inner = (
            node.child_by_field_name("definition")
            or node.child_by_field_name("declaration")
            or node.child_by_field_name("value")
            or next((c for c in reversed(node.named_children) if _tells(c, language)), None)
        )
        if inner is None:
            break
        node = inner
    return node


def _tells(node: Node, language: Language) -> bool:
    return node.type in language.definitions | language.scopes | language.wrappers


def symbol_of(node: Node) -> str:
    """The definition's own name, dots between its parts, "" where it has none."""
    kind = node.type
    if kind in ("lexical_declaration", "variable_declaration"):
        return _variables(node)
    if kind == "assignment_expression":
        return _assigned(node)
    if kind in _FUNCTIONS and node.parent is not None and node.parent.type == "export_statement":
        return _field(node, "name") or "default"
    if kind == "method_declaration" and (receiver := node.child_by_field_name("receiver")):
        return _qualified(_receiver(receiver), _field(node, "name"))
    if kind == "impl_item":
        return _field(node, "type")
    if kind == "type_declaration":
        specs = [c for c in node.named_children if c.type in ("type_spec", "type_alias")]
        return _clean(", ".join(filter(None, (_field(spec, "name") for spec in specs))))
    if kind == "create_index":
        return _field(node, "column")
    return _field(node, "name") or _declared(node) or _referenced(node)


def _variables(node: Node) -> str:
    """Names that are given a function or a class; other variables are no definition."""
    for child in node.named_children:
        value = child.child_by_field_name("value") if child.type == "variable_declarator" else None
        if value is not None and value.type in _FUNCTIONS:
            return _field(child, "name")
    return ""


def _assigned(node: Node) -> str:
    right = node.child_by_field_name("right")
    return _field(node, "left") if right is not None and right.type in _FUNCTIONS else ""


def _receiver(node: Node) -> str:
    """``T`` of ``(r *T[K])``."""
    text = _text(node).strip("() ").split("[")[0]
    return text.rpartition(" ")[2].strip("* ")


def _declared(node: Node) -> str:
    """The name inside the declarators of C: pointers, parameters and parentheses around it."""
    inner = node.child_by_field_name("declarator")
    for _ in range(MAX_NESTING):
        if inner is None:
            break
        deeper = inner.child_by_field_name("declarator")
        if deeper is None and inner.type in ("reference_declarator", "parenthesized_declarator"):
            deeper = next(iter(inner.named_children), None)
        if deeper is None:
            return _clean(_text(inner))
        inner = deeper
    return ""


def _referenced(node: Node) -> str:
    """What a statement of SQL creates."""
    for child in node.named_children:
        if child.type in ("object_reference", "identifier"):
            return _clean(_text(child))
    return ""


def _field(node: Node, name: str) -> str:
    field = node.child_by_field_name(name)
    return "" if field is None else _clean(_text(field))


def _text(node: Node) -> str:
    return (node.text or b"")[:4096].decode("utf-8", "replace")


def _clean(text: str) -> str:
    plain = _TEMPLATE.sub("", text) if not text.startswith("operator") else text
    return "".join(plain.replace("::", ".").strip("\"'`").split())[:MAX_SYMBOL_CHARS]


def _qualified(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name
