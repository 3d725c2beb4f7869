"""What a search looks through: a release, or the documents of it that a filter leaves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString

from psycopg import sql

from registry.connection import Connection
from registry.queries import load
from schemas.filters import Condition
from schemas.release import Collection

_SQL = load("filters")

LISTED_DOCUMENTS = 5_000
"""So many that match are found once and named from then on, not found again by each side of a search."""
_COLUMNS = {
    "author": sql.SQL("v.author"),
    "title": sql.SQL("v.title"),
    "language": sql.SQL("v.language"),
    # behind the parser's name stands what else had a part in the result
    "format": sql.SQL("split_part(v.parser, ' ', 1)"),
    "mime": sql.SQL("v.mime"),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The release that is searched, as the snapshot knows it.

    Attributes:
        documents, chunks: how many it shows; under a filter how many documents match, and at most how
            many chunks they hold.
        dtype, dim: of the vectors that are searched, see `EmbeddingSpace`.
        total_chunks: how many the release shows, whatever the filter.
        where: SQL that follows the conditions on an activation ``a``; empty without a filter.
        where_alone: the same for activations that are found by something else.
        parameters: of that SQL.
    """

    connection: Connection
    tenant_id: int
    collection: Collection
    number: int
    space_id: int
    documents: int
    chunks: int
    is_current: bool
    dtype: str
    dim: int
    total_chunks: int = 0
    where: sql.Composable = field(default_factory=lambda: sql.SQL(""))
    where_alone: sql.Composable = field(default_factory=lambda: sql.SQL(""))
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def is_filtered(self) -> bool:
        """Whether only some documents are looked through."""
        return bool(self.parameters)

    def values(self, **more: Any) -> dict[str, Any]:
        """Parameters of a statement."""
        return {
            "tenant": self.tenant_id,
            "collection": self.collection.id,
            "release": self.number,
            "documents": self.documents,
            "chunks": self.chunks,
            **self.parameters,
            **more,
        }

    def compose(self, statement: LiteralString, **parts: sql.Composable) -> sql.Composed:
        """The statement with its parts, the filter among them."""
        return sql.SQL(statement).format(where=self.where, where_alone=self.where_alone, **parts)

    def run(self, statement: sql.Composed, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a statement.

        A filtered one is planned for its own values: a plan for any values knows neither how
        many documents match nor the limits that follow from it.
        """
        prepare = False if self.is_filtered else None
        return self.connection.execute(statement, values, prepare=prepare).fetchall()


def narrow(scope: Scope, conditions: Sequence[Condition]) -> Scope:
    """The scope with only those documents for which all conditions hold; itself without conditions."""
    if not conditions:
        return scope
    parameters: dict[str, Any] = {}
    parts = [_condition(condition, number, parameters) for number, condition in enumerate(conditions)]
    both = sql.SQL(" AND ").join(parts)
    scope = replace(
        scope,
        where=sql.SQL(_SQL["document_matches"]).format(conditions=both),
        where_alone=sql.SQL(_SQL["document_matches_alone"]).format(conditions=both),
        parameters=parameters,
        total_chunks=scope.chunks,
    )
    values = scope.values(listed=LISTED_DOCUMENTS)
    ((documents, chunks, matching),) = scope.run(scope.compose(_SQL["matching_documents"]), values)
    scope = replace(scope, documents=documents, chunks=min(chunks, scope.total_chunks))
    if matching is None:
        return scope
    listed = {**parameters, "matching": matching}
    return replace(scope, where=sql.SQL(_SQL["document_is_listed"]), parameters=listed)


def glob_regex(pattern: str) -> str:
    """PostgreSQL's regular expression for an include pattern: as `tasks.sources.patterns` matches files.

    A trailing slash stands for all that is below.

    >>> glob_regex("hr/*.md"), glob_regex("*.md")
    ('^hr/[^/]*[.]md$', '^(?:.*/)?[^/]*[.]md$')
    """
    if "/" in pattern:
        pattern = (pattern + "**" if pattern.endswith("/") else pattern).strip("/")
        return f"^{_translate(pattern)}$"
    return f"^(?:.*/)?{_translate(pattern.replace('**', '*'))}$"


def _translate(pattern: str) -> str:
    tokens = re.findall(r"\*\*/|\*\*|.", pattern, re.DOTALL)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(special[token] if token in special else _literal(token) for token in tokens)


def _literal(character: str) -> str:
    """Itself, so written that it means nothing else."""
    if character in "^\\":
        return "\\" + character
    return f"[{character}]" if character in ".[](){}+|$" else character


def _condition(condition: Condition, number: int, parameters: dict[str, Any]) -> sql.Composable:
    """The condition as SQL whose values are parameters."""
    if condition.field == "date":
        return _date(condition, number, parameters)
    kind = "contains" if condition.operator == "~" else "equals"
    values = list(condition.values)
    if condition.field == "path" and kind == "equals":
        values = [glob_regex(value) for value in values]
    names = {"values": _place(f"values_{number}", values, parameters)}
    column = _COLUMNS.get(condition.field)
    if condition.field == "field":
        names["name"] = _place(f"name_{number}", condition.name, parameters)
    fragment = sql.SQL(_SQL[f"column_{kind}" if column else f"{condition.field}_{kind}"])
    found = fragment.format(**names, column=column) if column else fragment.format(**names)
    return _negated(found) if condition.operator == "!=" else found


def _date(condition: Condition, number: int, parameters: dict[str, Any]) -> sql.Composable:
    operator, first = condition.operator, condition.periods[0]
    if operator in ("=", "!="):
        starts = _place(f"starts_{number}", [period.start for period in condition.periods], parameters)
        ends = _place(f"ends_{number}", [period.end for period in condition.periods], parameters)
        found = sql.SQL(_SQL["date_within"]).format(starts=starts, ends=ends)
        return _negated(found) if operator == "!=" else found
    moment = first.start if operator in (">=", "<") else first.end
    place = _place(f"moment_{number}", moment, parameters)
    return sql.SQL(_SQL["date_from" if operator in (">=", ">") else "date_before"]).format(moment=place)


def _negated(found: sql.Composable) -> sql.Composable:
    """Of a fact that is unknown as well."""
    return sql.SQL("({}) IS NOT TRUE").format(found)


def _place(name: str, value: Any, parameters: dict[str, Any]) -> sql.Composable:
    parameters[name] = value
    return sql.Placeholder(name)
