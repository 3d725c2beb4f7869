"""Versions of a collection's class prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from psycopg.types.json import Jsonb

from registry.collections import get_space
from registry.connection import Connection, Database
from registry.locks import lock_collection
from registry.queries import load
from schemas.errors import PrototypesNotFound, RegistryUnsound
from schemas.prototype import Prototype, PrototypeSet, Thresholds, set_digest

_SQL = load("prototypes")


def list_sets(db: Database, collection_id: int, *, most: int = 1000) -> list[PrototypeSet]:
    """Versions of a collection's prototypes, newest first, without the prototypes themselves."""
    values = {"tenant": db.tenant_id, "collection": collection_id, "version": None, "most": most}
    with db.connection() as connection:
        return [_set(row) for row in connection.execute(_SQL["sets"], values)]


def latest_set(db: Database, collection_id: int) -> PrototypeSet | None:
    """The set in use, without its prototypes; None where none was built."""
    return next(iter(list_sets(db, collection_id, most=1)), None)


def get_set(db: Database, collection_id: int, version: int | None = None) -> PrototypeSet:
    """A set with its prototypes; None is the one in use.

    Raises:
        PrototypesNotFound: there is no such version, or none at all.
        RegistryUnsound: a prototype is not the one that its hash names.
    """
    values = {"tenant": db.tenant_id, "collection": collection_id, "version": version, "most": 1}
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute(_SQL["sets"], values).fetchone()
        if row is None:
            raise _not_found(version)
        return replace(_set(row), prototypes=_read_prototypes(connection, values, *row[-2:]))


def _not_found(version: int | None) -> PrototypesNotFound:
    if version is None:
        return PrototypesNotFound(
            "The collection has no prototypes.", advice="Ingest class folders: each folder is a class."
        )
    return PrototypesNotFound(
        f"The collection has no prototypes of version {version}.",
        advice="`revector prototypes history` lists versions.",
    )


def find_damaged(db: Database, collection_id: int) -> tuple[list[int], int]:
    """Versions that are not what their digest says, by one look at all; and how many versions there are."""
    values = {"tenant": db.tenant_id, "collection": collection_id}
    with db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        sound = {
            bytes(row[5]) for row in connection.execute(_SQL["all_prototypes"], values) if _is_sound(row)
        }
        sets = connection.execute(_SQL["set_hashes"], values).fetchall()
    damaged = [
        version
        for version, tau1, tau2, digest, hashes in sets
        if not sound.issuperset(map(bytes, hashes))
        or set_digest(map(bytes, hashes), Thresholds(tau1, tau2)) != bytes(digest)
    ]
    return sorted(damaged), len(sets)


def _is_sound(row: tuple[Any, ...]) -> bool:
    _, *facts, hash_, space = row
    try:
        _prototype(*facts, hash_=bytes(hash_), space=bytes(space))
    except RegistryUnsound:
        return False
    return True


def find_set(db: Database, collection_id: int, release_digest: bytes, settings: bytes) -> int | None:
    """The version of the newest set that was made of equal images by equal settings."""
    values = {
        "tenant": db.tenant_id,
        "collection": collection_id,
        "digest": release_digest,
        "settings": settings,
    }
    with db.connection() as connection:
        row = connection.execute(_SQL["set_of_digest"], values).fetchone()
    return int(row[0]) if row else None


def store_set(db: Database, collection_id: int, fresh: PrototypeSet, *, after: int) -> PrototypeSet | None:
    """Store a set as the next version and take it into use; one transaction.

    Args:
        db: the registry.
        collection_id: whose.
        fresh: its `version` and `created_at` are given here.
        after: the version that was in use when it was made, 0 for none.

    Returns:
        The set as stored; None where another one is in use by now, or where images of its release were
        purged or forgotten since it was made.
    """
    fingerprint = get_space(db, fresh.space_id).fingerprint
    hashes = [one.hash(fingerprint) for one in fresh.prototypes]
    values = {"tenant": db.tenant_id, "collection": collection_id}
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        if not _is_next(connection, values, fresh.images_release, after):
            return None
        _store_prototypes(connection, values, fresh, hashes)
        row = connection.execute(
            _SQL["create_set"],
            {
                **values,
                "release": fresh.release,
                "release_digest": fresh.release_digest,
                "seen_release": fresh.seen_release,
                "space": fresh.space_id,
                "settings": fresh.settings,
                "tau1": fresh.thresholds.tau1,
                "tau2": fresh.thresholds.tau2,
                "digest": fresh.digest,
                "report": Jsonb(fresh.report),
                "is_rollback": fresh.is_rollback,
                "note": fresh.note,
            },
        ).fetchone()
        assert row is not None
        set_id, version, created_at = row
        connection.execute(_SQL["create_members"], {**values, "set": set_id, "hashes": hashes})
    return replace(fresh, version=version, created_at=created_at)


def confirm_set(db: Database, collection_id: int, version: int, fresh: PrototypeSet) -> bool:
    """Note that a later release leads to the set in use; what is damaged of it is mended.

    False where that is not the case any more, as with `store_set`.

    Args:
        db: the registry.
        collection_id: whose.
        version: of the set.
        fresh: the same set, made again.
    """
    space = get_space(db, fresh.space_id).fingerprint
    hashes = [one.hash(space) for one in fresh.prototypes]
    values = {"tenant": db.tenant_id, "collection": collection_id}
    with db.transaction() as connection:
        lock_collection(connection, collection_id)
        if not _is_next(connection, values, fresh.images_release, version):
            return False
        _store_prototypes(connection, values, fresh, hashes)
        facts = {
            "version": version,
            "release": fresh.seen_release,
            "report": Jsonb(fresh.report),
        }
        connection.execute(_SQL["confirm_set"], {**values, **facts})
    return True


def _is_next(connection: Connection, values: dict[str, Any], release: int, after: int) -> bool:
    """Whether the release is whole, and that version still in use."""
    row = connection.execute(_SQL["is_whole"], {**values, "release": release}).fetchone()
    last = connection.execute(_SQL["sets"], {**values, "version": None, "most": 1}).fetchone()
    return row is not None and bool(row[0]) and (last[0] if last else 0) == after


def _store_prototypes(
    connection: Connection, values: dict[str, Any], fresh: PrototypeSet, hashes: Sequence[bytes]
) -> None:
    connection.execute(
        _SQL["create_prototypes"],
        {
            **values,
            "space": fresh.space_id,
            "classes": [one.name for one in fresh.prototypes],
            "images": [one.images for one in fresh.prototypes],
            "sums": [one.sum.astype("<i8").tobytes() for one in fresh.prototypes],
            "vectors": [one.vectors.astype("<f4").tobytes() for one in fresh.prototypes],
            "hashes": list(hashes),
        },
    )


def _read_prototypes(
    connection: Connection, values: dict[str, Any], set_id: int, space: bytes
) -> tuple[Prototype, ...]:
    rows = connection.execute(_SQL["prototypes_of_set"], {**values, "set": set_id})
    return tuple(_prototype(*row[:4], hash_=bytes(row[4]), space=bytes(space)) for row in rows)


def _prototype(
    name: str, images: int, total: bytes, vectors: bytes, *, hash_: bytes, space: bytes
) -> Prototype:
    try:
        found = Prototype(
            name,
            images,
            np.frombuffer(total, "<i8").astype(np.int64),
            np.frombuffer(vectors, "<f4").astype(np.float32).reshape(-1, len(total) // 8),
        )
        is_sound = found.hash(space) == hash_
    except ValueError:  # bytes are missing
        is_sound = False
    if not is_sound:
        raise RegistryUnsound(
            f"The stored prototype of class {name!r} is damaged.",
            advice="Run `revector prototypes build --rebuild`: it is made again from the images.",
        )
    return found


def _set(row: tuple[Any, ...]) -> PrototypeSet:
    version, release, release_digest, seen, space_id, settings, tau1, tau2, digest, *rest = row
    report, is_rollback, note, created_at, *_ = rest
    return PrototypeSet(
        version=version,
        release=release,
        release_digest=bytes(release_digest),
        seen_release=seen,
        space_id=space_id,
        settings=bytes(settings),
        thresholds=Thresholds(tau1, tau2),
        digest=bytes(digest),
        report=report,
        is_rollback=is_rollback,
        note=note,
        created_at=created_at,
    )
