"""Rollback: a new release that shows what an earlier one showed. Nothing is embedded or parsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from unicodedata import normalize
from uuid import UUID

from registry.activation import Elect, apply_staged, get_release
from registry.collections import get_collection_by_id, get_space
from registry.connection import Connection, Database
from registry.history import require_whole
from registry.locks import lock_collection
from registry.queries import load
from registry.releases import refresh_statistics
from registry.staging import drop_staged, require_running
from schemas.errors import ConfigurationError, DatabaseError, DocumentNotFound, RunStopped, VectorsMissing
from schemas.release import Activation, Collection

_SQL = load("rollback")


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback did."""

    activation: Activation
    held: int


@dataclass(frozen=True, slots=True)
class DocumentTarget:
    """A document to roll back, to a version or to what was shown before."""

    uri: str
    version: int | None = None
    source: str | None = None


def roll_back(
    db: Database, collection: Collection, run_id: UUID, to: int, *, only_from: int | None = None
) -> RolledBack:
    """Show what release `to` showed; 0 is the empty start. One transaction; the cost follows what changed.

    If that was embedded with another model, the collection goes back to its vectors as well.

    What it takes out of view is held: an ingest leaves those documents alone until their
    files change. A rollback to what is shown already makes no release.

    Args:
        db: the registry.
        collection: whose state changes.
        run_id: the run that does it.
        to: the release to show again.
        only_from: the release that must be current; None for any.

    Raises:
        ReleaseNotFound, ReleaseIncomplete: see the classes.
        RunStopped: another release has come meanwhile.
    """
    values = _values(db, collection, run_id)
    with db.transaction() as connection:
        _begin(connection, values, collection)
        require_whole(connection, db.tenant_id, collection, to)
        collection = get_collection_by_id(connection, db.tenant_id, collection.id)
        active_id, _ = _space(db, collection)
        current, space_id = collection.current_release, space_of(connection, values, to) or active_id
        if only_from not in (None, current):
            raise RunStopped(
                f"Release {current} has come since release {only_from} was looked at. Nothing was changed.",
                advice="Look at `revector history`, and name the release to go back to with --to.",
            )
        connection.execute(_SQL["stage_release"], {**values, "to": to})
        row = connection.execute(_SQL["election_of_release"], {**values, "to": to}).fetchone()
        election = bytes(row[0]) if row else b""
        space = get_space(db, space_id)
        note = f"to release {to}" + ("" if space_id == active_id else f", by {space.model}")
        try:
            done = _apply(
                connection, values, space_id, space.fingerprint, note=note, election=election, switch=True
            )
        except VectorsMissing as exc:
            raise _not_shown(to, exc) from exc
        _require_equal(connection, values, done, to)
    refresh_statistics(db, done.activation)
    return done


def _not_shown(to: int, cause: VectorsMissing) -> VectorsMissing:
    chunks = cause.facts["chunks"]
    return VectorsMissing(
        f"{len(chunks)} chunks of release {to} have no vector; nothing was changed.",
        advice="`revector check` says what was lost. `revector rollback --document URI` embeds what one "
        "document lacks, and `revector search --as-of` finds the release by --mode keyword.",
        chunks=chunks,
    )


def _require_equal(connection: Connection, values: dict[str, Any], done: RolledBack, to: int) -> None:
    """What is shown now is what was shown then, or nothing is changed."""
    then = get_release(connection, values, to)
    if then and done.activation.release and done.activation.release.digest != then.digest:
        raise DatabaseError(
            f"The history does not give what release {to} showed: its digest differs. Nothing was changed.",
            advice="Run `revector check`; it says which releases are sound.",
        )


def roll_back_document(
    db: Database, collection: Collection, run_id: UUID, target: DocumentTarget, *, elect: Elect
) -> RolledBack:
    """Show an earlier version of one document; of a retired one without a version, its last.

    Its duplicates, then and now, are elected anew.

    Raises:
        VectorsMissing: a duplicate that comes into view was never shown; its chunks are in the facts.
        DocumentNotFound: there is no such document, or no such version of it.
        ConfigurationError: the uri is in several sources.
    """
    space_id, fingerprint = _space(db, collection)
    values = _values(db, collection, run_id)
    with db.transaction() as connection:
        _begin(connection, values, collection)
        document, version_id, version = find_version(connection, db.tenant_id, collection, target)
        connection.execute(_SQL["stage_document"], {**values, "document": document, "version": version_id})
        note = f"{target.uri} to version {version}"
        return _apply(connection, values, space_id, fingerprint, note=note, elect=elect)


def preview_document(db: Database, collection: Collection, target: DocumentTarget) -> int:
    """The version of a document that a rollback would show.

    Raises:
        DocumentNotFound, ConfigurationError: as `roll_back_document`.
    """
    with db.connection() as connection:
        return find_version(connection, db.tenant_id, collection, target)[2]


def count_holds(db: Database, collection_id: int) -> int:
    """Documents that differ from their source because a rollback showed them so."""
    with db.connection() as connection:
        row = connection.execute(
            _SQL["count_holds"], {"tenant": db.tenant_id, "collection": collection_id}
        ).fetchone()
    return int(row[0]) if row else 0


def find_version(
    connection: Connection, tenant_id: int, collection: Collection, target: DocumentTarget
) -> tuple[int, int, int]:
    """(document id, version id, version number) of what a document is to be rolled back to."""
    rows = connection.execute(
        _SQL["document_versions"],
        {
            "tenant": tenant_id,
            "collection": collection.id,
            "uri": normalize("NFC", target.uri),
            "source": target.source,
        },
    ).fetchall()
    sources = sorted({row[0] for row in rows})
    if len(sources) > 1:
        raise ConfigurationError(
            f"{target.uri} is in the sources {', '.join(sources)}.", advice="Name one with --source."
        )
    shown = [row for row in rows if row[4] is not None]
    if not shown:
        raise DocumentNotFound(
            f"Collection {collection.name!r} never showed a document {target.uri!r}"
            + (f" of the source {target.source!r}." if target.source else "."),
            advice="A uri is the path below the source's root, as `revector search` prints it.",
        )
    if target.version is None:
        return _previous(target.uri, shown)
    found = next((row for row in shown if row[3] == target.version), None)
    if found is None:
        there = ", ".join(str(number) for number in sorted({row[3] for row in shown}))
        raise DocumentNotFound(
            f"{target.uri} has no version {target.version}.", advice=f"There are: {there}."
        )
    return found[1], found[2], found[3]


def _previous(uri: str, shown: list[tuple[Any, ...]]) -> tuple[int, int, int]:
    """What was shown before what is shown now; of a retired document what was shown last."""
    active = next((row[2] for row in shown if row[5] is None), None)
    past = [row for row in shown if row[5] is not None and row[2] != active]
    if not past:
        raise DocumentNotFound(
            f"{uri} has no earlier version to go back to.",
            advice="To take it out of search, delete the file and ingest; to erase it, `revector forget`.",
        )
    latest = max(past, key=lambda row: row[4])
    return latest[1], latest[2], latest[3]


def space_of(connection: Connection, values: dict[str, Any], number: int) -> int | None:
    """The space of a release; None where there is no such release."""
    row = connection.execute(_SQL["space_of_release"], {**values, "to": number}).fetchone()
    return int(row[0]) if row else None


def _space(db: Database, collection: Collection) -> tuple[int, bytes]:
    if collection.active_space_id is None:
        raise ConfigurationError(
            f"Collection {collection.name!r} has no release yet.", advice="Run `revector ingest PATH` first."
        )
    return collection.active_space_id, get_space(db, collection.active_space_id).fingerprint


def _values(db: Database, collection: Collection, run_id: UUID) -> dict[str, Any]:
    return {"tenant": db.tenant_id, "collection": collection.id, "run": run_id}


def _begin(connection: Connection, values: dict[str, Any], collection: Collection) -> None:
    lock_collection(connection, collection.id)
    require_running(connection, values)


def _apply(
    connection: Connection,
    values: dict[str, Any],
    space_id: int,
    fingerprint: bytes,
    *,
    note: str,
    elect: Elect | None = None,
    election: bytes | None = None,
    switch: bool = False,
) -> RolledBack:
    activation = apply_staged(
        connection,
        values,
        space_id,
        fingerprint,
        kind="rollback",
        note=note,
        elect=elect,
        election=election,
        switch=switch,
    )
    if activation.release:
        connection.execute(_SQL["create_holds"], {**values, "release": activation.release.number})
        connection.execute(_SQL["drop_settled_holds"], values)
    drop_staged(connection, values)
    held = connection.execute(_SQL["count_holds"], values).fetchone()
    assert held is not None
    return RolledBack(activation, int(held[0]))
