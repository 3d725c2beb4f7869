"""Take a uri out of what was recorded as text: by runs, by releases, with events."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from unicodedata import normalize

from psycopg.types.json import Jsonb

from registry.connection import Connection
from registry.queries import load

_SQL = load("forget")

SCRUBBED = "[forgotten]"


def _forms(uri: str) -> list[str]:
    """The uri as we write it, and as a path given on macOS spells it."""
    return sorted({uri, normalize("NFD", uri)})


def _pattern(uri: str) -> re.Pattern[str]:
    """The uri where it stands by itself: `a.txt` is not in `data.txt`, but at the end of a path.

    >>> _pattern("a.txt").sub("-", "data.txt, /docs/a.txt: a.txt. a.txt.bak")
    'data.txt, /docs/-: -. a.txt.bak'
    """
    forms = "|".join(re.escape(form) for form in _forms(uri))
    return re.compile(rf"(?<![\w.\-])(?:{forms})(?![\w\-/]|\.\w)")


def scrub(connection: Connection, values: dict[str, Any], uri: str) -> None:
    """Take the uri out of a collection's texts."""
    pattern = _pattern(uri)

    def clean(text: str) -> str:
        return pattern.sub(SCRUBBED, text)

    for id_, scope, error, stats in _mentioning_runs(connection, values, uri):
        changed = {"scope": clean(scope), "error": error and clean(error)}
        changed["stats"] = Jsonb(_walk(stats, clean))
        connection.execute(_SQL["scrub_run"], {**values, **changed, "id": id_})
    for number, note in _mentioning(connection, values, uri, "mentioning_releases"):
        connection.execute(_SQL["scrub_release"], {**values, "number": number, "note": clean(note)})
    for id_, error in _mentioning(connection, values, uri, "mentioning_events"):
        connection.execute(_SQL["scrub_event"], {**values, "id": id_, "error": clean(error)})
    for id_, name in _mentioning(connection, values, uri, "mentioning_deliveries"):
        unique = f"{clean(name)} {id_}"  # a sender's ids are
        connection.execute(_SQL["scrub_delivery"], {**values, "id": id_, "delivery": unique})


def count_mentions(connection: Connection, values: dict[str, Any], uri: str) -> dict[str, int]:
    """How many records of each kind still mention the uri in a text."""
    return {
        "runs": len(_mentioning_runs(connection, values, uri)),
        "releases": len(_mentioning(connection, values, uri, "mentioning_releases")),
        "errors of events": len(_mentioning(connection, values, uri, "mentioning_events")),
        "ids of deliveries": len(_mentioning(connection, values, uri, "mentioning_deliveries")),
    }


def _mentioning_runs(connection: Connection, values: dict[str, Any], uri: str) -> list[tuple[Any, ...]]:
    forms = _forms(uri)
    quoted = [json.dumps(form, ensure_ascii=False)[1:-1] for form in forms]
    values = {**values, "forms": forms, "quoted": quoted}
    rows = connection.execute(_SQL["mentioning_runs"], values).fetchall()
    pattern = _pattern(uri)
    return [
        row for row in rows if any(pattern.search(text) for text in (row[1], row[2] or "", *_strings(row[3])))
    ]


def _mentioning(
    connection: Connection, values: dict[str, Any], uri: str, statement: str
) -> list[tuple[Any, ...]]:
    """(id, text) of records that mention the uri."""
    rows = connection.execute(_SQL[statement], {**values, "forms": _forms(uri)}).fetchall()
    return [row for row in rows if _pattern(uri).search(row[1])]


def _walk(value: Any, clean: Callable[[str], str]) -> Any:
    """The JSON value with each text in it cleaned; keys are ours and stay."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_walk(item, clean) for item in value]
    if isinstance(value, dict):
        return {key: _walk(item, clean) for key, item in value.items()}
    return value


def _strings(value: Any) -> list[str]:
    found: list[str] = []
    _walk(value, lambda text: found.append(text) or text)  # type: ignore[func-returns-value]
    return found
