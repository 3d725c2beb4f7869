"""JSON and JSON lines as readable text: ``path: value`` lines, records, tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from schemas.document import Element, ParsedDocument, PartProblem
from schemas.errors import ParseFailed
from tasks.parsing.encodings import decode
from tasks.parsing.facts import metadata_from
from tasks.parsing.tables import table_elements
from tasks.parsing.text import split_blank_lines

LONG_CHARS = 200
"""A longer string is prose: an element of its own, never a table's cell."""

MAX_DEPTH = 64
MAX_COLUMNS = 50
MAX_TOLD_LINES = 10
_RECORDS_HEAD = 1_000_000
_NAMES = ("title", "name", "id", "제목", "이름")

Record = dict[str, Any]


class _Number(str):
    """A number as the file writes it: digits are neither lost nor computed with."""

    __slots__ = ()


def parse_json(data: bytes) -> ParsedDocument:
    """Top-level entries as headings with their values, records one by one, flat ones as a table.

    Raises:
        ParseFailed: it is no JSON, or nested too deep.
    """
    try:
        value = load_json(decode(data))
    except ParseFailed:
        if not _begins_with_records(decode(data)):
            raise
        return replace(parse_jsonl(data), parser="json")
    facts = {k.lower(): v for k, v in value.items()} if isinstance(value, dict) else {}
    return ParsedDocument("json", "application/json", tuple(_document(value)), metadata_from(facts))


def parse_jsonl(data: bytes) -> ParsedDocument:
    """One element a record; a line that is no JSON stays as it is and is told.

    Raises:
        ParseFailed: not one line is JSON.
    """
    elements: list[Element] = []
    wrong: list[int] = []
    lines = decode(data).split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            elements += _records([load_json(line)])
        except ParseFailed:
            wrong.append(number)
            elements.append(Element(line))
    if wrong and len(wrong) == sum(bool(line.strip()) for line in lines):
        raise ParseFailed("No line of the file is JSON.", advice="Correct its lines, or exclude it.")
    return ParsedDocument("jsonl", "application/jsonl", tuple(elements), problems=_told(wrong))


def _begins_with_records(text: str) -> bool:
    """Whether the first two lines are a JSON object each: records, of which some line is broken."""
    lines = [line for line in text[:_RECORDS_HEAD].split("\n") if line.strip()][:2]
    try:
        return len(lines) == 2 and all(isinstance(load_json(line), dict) for line in lines)
    except ParseFailed:
        return False


def parse_plain(data: bytes) -> ParsedDocument:
    """The file as it is."""
    return ParsedDocument("json", "text/plain", tuple(map(Element, split_blank_lines(decode(data)))))


def load_json(text: str) -> Any:
    """The value, numbers as text.

    Raises:
        ParseFailed: it is no JSON, or nested too deep.
    """
    try:
        return json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    except (ValueError, RecursionError) as exc:
        reason = "nested too deep" if isinstance(exc, RecursionError) else "not valid JSON"
        place = f" (line {exc.lineno})" if isinstance(exc, json.JSONDecodeError) else ""
        raise ParseFailed(
            f"The file is {reason}{place}.", advice="Correct it there, or exclude the file."
        ) from exc


def _told(wrong: Sequence[int]) -> tuple[PartProblem, ...]:
    if not wrong:
        return ()
    more = f" and {len(wrong) - MAX_TOLD_LINES} more" if len(wrong) > MAX_TOLD_LINES else ""
    part = f"line{'s' if len(wrong) > 1 else ''} {', '.join(map(str, wrong[:MAX_TOLD_LINES]))}{more}"
    return (PartProblem(part, "ParseFailed", "Not valid JSON: kept as it is. Correct it if it is a record."),)


def _document(value: Any) -> Iterator[Element]:
    if not isinstance(value, dict):
        yield from _value(value)
        return
    lines: list[str] = []
    for key, entry in value.items():
        if isinstance(entry, dict | list) and entry and not _is_flat(entry):
            yield from _lines(lines)
            lines.clear()
            yield Element(key or "-", "heading", level=1)
            yield from _value(entry)
        elif _is_prose(entry):
            yield from _lines(lines)
            lines.clear()
            yield Element(f"{key}: {entry}")
        elif text := _scalar(entry):
            lines.append(f"{key}: {text}")
    yield from _lines(lines)


def _value(value: Any) -> Iterator[Element]:
    if isinstance(value, list):
        table = _table(value)
        yield from table_elements(table) if table else _records(value)
    else:
        yield from _records([value])


def _records(records: Sequence[Any]) -> Iterator[Element]:
    """One element a record; its prose as elements behind it; scalars together."""
    scalars: list[str] = []
    for record in records:
        if not isinstance(record, dict | list):
            scalars.append(_scalar(record))
            continue
        yield from _lines(scalars)
        scalars.clear()
        short, prose = _split(_leaves(_named_first(record)))
        yield from _lines(short)
        yield from map(Element, prose)
    yield from _lines(scalars)


def _lines(lines: Sequence[str]) -> Iterator[Element]:
    if any(line.strip() for line in lines):
        yield Element("\n".join(lines))


def _split(leaves: Iterator[tuple[str, Any]]) -> tuple[list[str], list[str]]:
    short: list[str] = []
    prose: list[str] = []
    for path, value in leaves:
        line = f"{path}: {_scalar(value)}" if path else _scalar(value)
        (prose if _is_prose(value) else short).append(line)
    return short, prose


def _named_first(record: Any) -> Any:
    """The record with what names it first: no number does, it would change with every insertion."""
    name = next(
        (key for key in _NAMES if isinstance(record, dict) and isinstance(record.get(key), str)), None
    )
    return record if name is None else {name: record[name], **record}


def _leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """(path, scalar or list of scalars) in order, without recursion."""
    stack: list[tuple[str, Any, int]] = [("", value, 0)]
    while stack:
        path, node, depth = stack.pop()
        if depth > MAX_DEPTH:
            yield path, json.dumps(node, ensure_ascii=False, default=str)
        elif isinstance(node, dict) and node:
            children = [(f"{path}.{key}" if path else key, child, depth + 1) for key, child in node.items()]
            stack += reversed(children)
        elif isinstance(node, list) and not _is_flat(node):
            stack += [(path, child, depth + 1) for child in reversed(node)]
        elif node or isinstance(node, bool):
            yield path, node


def _is_flat(value: Any) -> bool:
    """A list of short scalars: it stands on one line."""
    return isinstance(value, list) and not any(
        isinstance(item, dict | list) or _is_prose(item) for item in value
    )


def _is_prose(value: Any) -> bool:
    return isinstance(value, str) and (len(value) > LONG_CHARS or "\n" in value.strip())


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_scalar, value))
    if isinstance(value, dict):
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _table(records: Sequence[Any]) -> list[list[str]]:
    """Header and rows of two or more records with the same short fields, else nothing."""
    if len(records) < 2 or not isinstance(records[0], dict):
        return []
    keys = list(records[0])
    if not 2 <= len(keys) <= MAX_COLUMNS or not all(_is_row(record, keys) for record in records):
        return []
    return [keys, *([_cell(record[key]) for key in keys] for record in records)]


def _is_row(record: Any, keys: Sequence[str]) -> bool:
    return (
        isinstance(record, dict)
        and record.keys() == set(keys)
        and not any(isinstance(value, dict | list) or _is_prose(value) for value in record.values())
    )


def _cell(value: Any) -> str:
    return "" if value is None else _scalar(value)
