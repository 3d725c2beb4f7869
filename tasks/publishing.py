"""The end of a run: the election, the index, the release, and a look at it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from registry.check_release import check_release
from registry.collections import absorb_source, get_collection_by_id
from registry.connection import Connection
from registry.locks import lock_collection
from registry.releases import activate_run
from registry.staging import require_running
from registry.vector_index import ensure_index
from schemas.check import Problem
from schemas.errors import VectorsMissing
from schemas.prototype import BuildReport
from schemas.release import Activation
from tasks.dedup.elect import decide, elect, write_ballot
from tasks.gate import prepare_canaries
from tasks.prototypes import building
from tasks.vectors import EmbedResult, embed_batch
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

ACTIVATE_ATTEMPTS = 5
ELECT_ATTEMPTS = 3
"""Where other runs make releases all the time, the collection is held while documents are compared."""

Made = TypeVar("Made")


def until_embedded(
    activate: Callable[[], Made], embed: Callable[[list[int]], EmbedResult]
) -> tuple[Made, int]:
    """What `activate` gives, once all that it would show has vectors, and how many were made for that.

    A document that was never shown, because another stood for it, has none: it gets them when
    that one goes, and the election inside the activating transaction is the one that knows.
    """
    embedded = 0
    for attempt in range(ACTIVATE_ATTEMPTS):
        try:
            return activate(), embedded
        except VectorsMissing as exc:
            missing = exc.facts.pop("chunks")
            if attempt == ACTIVATE_ATTEMPTS - 1:
                raise
            log.info("%d chunks come into view without a vector: embedded first", len(missing))
            embedded += embed(missing).embedded
    raise AssertionError("the last attempt returns or raises")


def hold_election(workspace: Workspace) -> None:
    """Decide which of the documents that would be shown are duplicates, before anything is embedded.

    It stands as long as no other run makes a release first; then `activate` holds it again.
    """
    db, target = workspace.db, workspace.require_target()
    run = (db.tenant_id, target.collection_id, target.run_id)
    settings = workspace.collection.duplicates
    for _ in range(ELECT_ATTEMPTS):
        with db.transaction() as connection:  # comparing takes its time: nobody waits for it
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            ballot = decide(connection, *run, settings)
        with _hold(workspace) as connection:
            if write_ballot(connection, *run, ballot):
                return
    with _hold(workspace) as connection:
        elect(connection, *run, settings)


@contextmanager
def _hold(workspace: Workspace) -> Iterator[Connection]:
    """A transaction that holds the collection, of a run that was not taken for dead."""
    target = workspace.require_target()
    values = {"tenant": workspace.db.tenant_id, "collection": target.collection_id, "run": target.run_id}
    with workspace.db.transaction() as connection:
        lock_collection(connection, target.collection_id)
        require_running(connection, values)
        yield connection


def index_vectors(workspace: Workspace) -> bool:
    """Build the vector index where the collection has grown enough; True where one was built."""
    target = workspace.require_target()
    return ensure_index(workspace.db, target.space_id, target.collection_id) is not None


def activate(workspace: Workspace) -> Activation:
    """Show what was staged, in one transaction that asks the canary queries before it ends.

    Raises:
        GateFailed: too many canaries do not find their document; it stays staged.
    """
    target = workspace.require_target()
    run = (workspace.db.tenant_id, target.collection_id, target.run_id)
    inspect = prepare_canaries(workspace)
    activation, embedded = until_embedded(
        lambda: activate_run(
            workspace.db,
            target.collection_id,
            target.space_id,
            target.run_id,
            elect=lambda connection: elect(connection, *run, workspace.collection.duplicates),
            inspect=inspect,
        ),
        lambda ids: embed_batch(workspace, ids),
    )
    if embedded:
        activation = replace(activation, embedded=embedded)
        index_vectors(workspace)
    if activation.release:
        log.info("release %d activated", activation.release.number)
    for source in workspace.nested:  # their documents are retired now; a crash here repeats this
        assert source.id is not None
        absorb_source(workspace.db, source.id, by=target.source_id)
    return activation


def check_activated(workspace: Workspace, number: int) -> list[Problem]:
    """Look at what the new release touched; a problem here is a bug or a damaged disk."""
    target = workspace.require_target()
    problems = check_release(workspace.db, target.collection_id, number, target.space_id, workspace.blobs)
    for problem in problems:
        log.error("release %d is not sound: %s: %s", number, problem.invariant, problem.detail)
    return problems


def build_prototypes(workspace: Workspace) -> BuildReport:
    """Bring the prototypes of an image collection up to date with its current release."""
    with workspace.db.connection() as connection:
        collection = get_collection_by_id(
            connection, workspace.db.tenant_id, workspace.require_target().collection_id
        )
    return building.build_prototypes(workspace.db, collection, workspace.collection.prototypes)
