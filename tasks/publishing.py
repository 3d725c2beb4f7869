"""The end of a run: the election, the index, the release, and a look at it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from registry.check_release import check_release
from registry.collections import absorb_source
from registry.connection import Connection
from registry.releases import activate_run
from registry.vectors import ensure_index
from schemas.check import Problem
from schemas.errors import VectorsMissing
from schemas.release import Activation
from tasks.dedup.elect import elect
from tasks.gate import prepare_canaries
from tasks.storing import embed_batch
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

ACTIVATE_ATTEMPTS = 5

Made = TypeVar("Made")


def until_embedded(activate: Callable[[], Made], embed: Callable[[list[int]], object]) -> Made:
    """What `activate` gives, once all that it would show has vectors.

    A document that was never shown, because another stood for it, has none: it gets them when
    that one goes, and the election inside the activating transaction is the one that knows.
    """
    for _ in range(ACTIVATE_ATTEMPTS - 1):
        try:
            return activate()
        except VectorsMissing as exc:
            log.info("%d chunks come into view without a vector: embedded first", len(exc.facts["chunks"]))
            embed(exc.facts["chunks"])
    return activate()


def hold_election(workspace: Workspace) -> None:
    """Decide which of the documents that would be shown are duplicates, before anything is embedded.

    It stands as long as no other run makes a release first; then `activate` holds it again.
    """
    with workspace.db.transaction() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        _elect(workspace, connection)


def _elect(workspace: Workspace, connection: Connection) -> None:
    target = workspace.require_target()
    elect(
        connection,
        workspace.db.tenant_id,
        target.collection_id,
        target.run_id,
        workspace.collection.duplicates,
    )


def index_vectors(workspace: Workspace) -> bool:
    """Build the vector index where the collection has grown enough; True where there is one."""
    target = workspace.require_target()
    return ensure_index(workspace.db, target.space_id, target.collection_id)


def activate(workspace: Workspace) -> Activation:
    """Show what was staged, in one transaction that asks the canary queries before it ends.

    Raises:
        GateFailed: too many canaries do not find their document; it stays staged.
    """
    target = workspace.require_target()
    inspect = prepare_canaries(workspace)
    activation = until_embedded(
        lambda: activate_run(
            workspace.db,
            target.collection_id,
            target.space_id,
            target.run_id,
            elect=lambda connection: _elect(workspace, connection),
            inspect=inspect,
        ),
        lambda ids: embed_batch(workspace, ids),
    )
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
