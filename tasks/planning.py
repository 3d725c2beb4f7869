"""List a source and compare it with the registry."""

from __future__ import annotations

import gc
import hashlib
import logging
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from registry.documents import held_documents, known_documents, known_rejections
from schemas.errors import DocumentError
from schemas.plan import ChangePlan, Known
from schemas.source import Listing
from tasks.changes import absorb_nested, check_deletions, plan_changes
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

HASH_THREADS = 4
HASH_BLOCK = 1 << 20


@contextmanager
def paused_collection() -> Iterator[None]:
    """No cyclic garbage collection: it would walk through the growing lists again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def list_source(workspace: Workspace) -> Listing:
    """What the source holds now, inside the run's scope."""
    with paused_collection():
        listing = workspace.lister.list(workspace.scope)
    log.info("listed %d items, %d could not be looked at", len(listing.items), len(listing.problems))
    return listing


def plan_run(
    workspace: Workspace, listing: Listing, *, allow_deletions: bool = True, reapply: bool = False
) -> ChangePlan:
    """What a run would change.

    Args:
        workspace: the run's surroundings.
        listing: what the source holds.
        allow_deletions: plan even to retire suspiciously much.
        reapply: bring back what a rollback took out of view.

    Raises:
        MassDeletion: it would retire suspiciously much, and `allow_deletions` is off.
    """
    with paused_collection():
        known, rejected = load_known(workspace, reapply=reapply)
        plan = plan_changes(
            listing,
            known,
            rejected,
            workspace.fingerprints,
            scope=workspace.scope,
            hash_many=lambda uris: hash_items(workspace, listing, uris),
        )
    nested, shown_as = _load_nested(workspace)
    plan = absorb_nested(plan, listing, nested, known.keys(), shown_as=shown_as)
    log.info(
        "planned: %d added, %d changed, %d moved, %d deleted, %d unchanged, %d held, %d rejected before",
        len(plan.added), len(plan.changed), len(plan.moved), len(plan.deleted), plan.unchanged,
        len(plan.held), len(plan.rejected),
    )  # fmt: skip
    if not allow_deletions:
        in_scope = sum(1 for uri in known if workspace.scope.covers(uri)) + len(nested)
        check_deletions(plan, len(listing.items), in_scope, workspace.collection.guard)
    return plan


def _load_nested(workspace: Workspace) -> tuple[dict[str, Known], dict[str, str]]:
    """What sources inside this one show, by uri in this one; and their uris there."""
    nested: dict[str, Known] = {}
    shown_as: dict[str, str] = {}
    for source in workspace.nested:
        assert source.id is not None
        prefix = source.root_url[len(workspace.scope.source.root_url) :].strip("/")
        for uri, past in known_documents(workspace.db, source.id).items():
            nested[f"{prefix}/{uri}"] = past
            shown_as[f"{prefix}/{uri}"] = uri
    return nested, shown_as


def load_known(workspace: Workspace, *, reapply: bool = False) -> tuple[dict[str, Known], dict[str, Known]]:
    """Active documents, and what is not to be tried again, by uri; empty for a new source."""
    db, source_id = workspace.db, workspace.scope.source.id
    if source_id is None:
        return {}, {}
    absent = held_documents(db, source_id, reapply=reapply)
    return known_documents(db, source_id, reapply=reapply), absent | known_rejections(db, source_id)


def hash_items(workspace: Workspace, listing: Listing, uris: Collection[str]) -> dict[str, bytes]:
    """sha256 of items; one that cannot be read is left out."""
    if not uris:
        return {}
    with ThreadPoolExecutor(HASH_THREADS) as threads:
        hashes = threads.map(lambda uri: _hash_item(workspace, listing, uri), uris)
        return {uri: sha256 for uri, sha256 in zip(uris, hashes, strict=True) if sha256 is not None}


def _hash_item(workspace: Workspace, listing: Listing, uri: str) -> bytes | None:
    hasher = hashlib.sha256()
    try:
        with workspace.lister.open(uri, listing.paths.get(uri, uri)) as (stream, _):
            while block := stream.read(HASH_BLOCK):
                hasher.update(block)
    except DocumentError:
        return None
    return hasher.digest()
