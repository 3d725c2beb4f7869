"""What an election knows of the documents, and where its result is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from registry.connection import Connection, Database
from registry.queries import load
from schemas.duplicate import REASONS, Cluster, Member, Rule, Verdict
from schemas.release import Collection

_SQL = load("election")
WRITE_BATCH = 5_000


class Contestant(NamedTuple):
    """A document that will be shown after the run, and its election as it is now.

    `authored_at` is in UTC without saying so; `characters` is 0 where the text has no signature.
    `base_id` is the version that is shown now, None for none.
    """

    document_id: int
    uri: str
    source: str
    text: bytes
    published: bool
    authored_at: datetime | None
    characters: int
    version_id: int
    base_id: int | None
    is_staged: bool
    winner_id: int | None
    rule: Rule | None
    similarity: float | None
    suppressed: bool


@dataclass(frozen=True, slots=True)
class Elected:
    """What is to be written about a document; `verdict` is None for one that stands for itself."""

    document_id: int
    version_id: int
    base_id: int | None
    verdict: Verdict | None
    reelected: bool


def begin_election(connection: Connection, values: dict[str, Any]) -> None:
    """Take back what an earlier election of the run has written into its staged rows."""
    connection.execute(_SQL["drop_elected"], values)
    connection.execute(_SQL["clear_elected"], values)


def last_election(connection: Connection, values: dict[str, Any]) -> tuple[int, bytes, int, int]:
    """The current release, the settings of its election, its documents; staged rows of the run.

    The settings are empty for none; rows that an election added do not count.
    """
    row = connection.execute(_SQL["last_election"], values).fetchone()
    assert row is not None
    return int(row[0]), bytes(row[1]), int(row[2]), int(row[3])


def end_election(
    connection: Connection, values: dict[str, Any], *, release: int | None, elected_by: bytes
) -> None:
    """Note what the run's election rests on; `release` is None where it has to be held again."""
    connection.execute(_SQL["end_election"], {**values, "release": release, "elected_by": elected_by})


def changed_texts(connection: Connection, values: dict[str, Any]) -> tuple[list[int], set[bytes]]:
    """The documents whose version a run changes, and the texts that they had and will have."""
    rows = _fetch(connection, "changed_texts", values)
    return [row[0] for row in rows], {bytes(text) for row in rows for text in row[1:] if text is not None}


def find_contestants(
    connection: Connection, values: dict[str, Any], texts: Sequence[bytes]
) -> list[Contestant]:
    """The documents that will have one of these texts."""
    rows = _fetch(connection, "documents_of_texts", {**values, "texts": list(texts)})
    return [Contestant(*row) for row in rows]


def dependent_texts(connection: Connection, values: dict[str, Any], documents: Sequence[int]) -> set[bytes]:
    """The texts of what lost to one of these documents in the last election."""
    rows = _fetch(connection, "dependent_texts", {**values, "documents": list(documents)})
    return {bytes(text) for (text,) in rows}


def elected_texts(connection: Connection, values: dict[str, Any]) -> set[bytes]:
    """The texts of all that lost in the last election."""
    return {bytes(text) for (text,) in _fetch(connection, "elected_texts", values)}


def write_elected(connection: Connection, values: dict[str, Any], elected: Sequence[Elected]) -> bool:
    """Write results into the run's staged rows; False if one was left out.

    That is one of a document that the run has staged from another state than the one shown now:
    activation drops that row first, and has to hold the election again.
    """
    is_complete = True
    for start in range(0, len(elected), WRITE_BATCH):
        batch = elected[start : start + WRITE_BATCH]
        verdicts = [item.verdict for item in batch]
        written = connection.execute(
            _SQL["write_elected"],
            {
                **values,
                "document": [item.document_id for item in batch],
                "version": [item.version_id for item in batch],
                "base": [item.base_id for item in batch],
                "winner": [v.winner_id if v else None for v in verdicts],
                "rule": [v.rule if v else None for v in verdicts],
                "similarity": [v.similarity if v else None for v in verdicts],
                "suppressed": [bool(v and v.suppressed) for v in verdicts],
                "reelected": [item.reelected for item in batch],
            },
            prepare=False,
        ).rowcount
        is_complete &= written == len(batch)
    return is_complete


def list_clusters(db: Database, collection: Collection, release_number: int) -> list[Cluster]:
    """The winners of a release and what they stand for, by the winner's uri.

    A winner that was forgotten since is not listed.
    """
    values = {"tenant": db.tenant_id, "collection": collection.id, "number": release_number}
    with db.connection() as connection:
        rows = connection.execute(_SQL["list_clusters"], values).fetchall()
    return [
        Cluster(winner, source, tuple(Member(uri, of, float(f"{alike:.4f}"), REASONS[rule], hidden)
                                      for _, _, uri, of, alike, rule, hidden in members))
        for (winner, source), members in groupby(rows, key=lambda row: row[:2])
    ]  # fmt: skip


def _fetch(connection: Connection, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """All rows, by a plan for these values: one kept from when the tables were small would be slow."""
    return connection.execute(_SQL[statement], values, prepare=False).fetchall()
