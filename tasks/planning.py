"""List a source and compare it with the registry."""

from __future__ import annotations

import gc
import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from registry.documents import (
    count_active,
    documents_named,
    held_documents,
    known_documents,
    known_rejections,
)
from schemas.errors import DocumentError, SourceUnavailable
from schemas.plan import ChangePlan, Known
from schemas.source import Listing, is_under
from tasks.changes import absorb_nested, check_deletions, plan_changes
from tasks.containers import Opened, open_containers
from tasks.pipeline_fingerprint import is_by_ocr
from tasks.retrying import restrict
from tasks.sources.members import member_hash
from tasks.sources.sidecars import pair_sidecars
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


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would change, and what it found on the way.

    Attributes:
        plan: the changes.
        opened: the listing with what is inside archives and mails.
        known: uris of the documents that a scope of names shows; empty for any other.
    """

    plan: ChangePlan
    opened: Opened
    known: Collection[str] = ()


def plan_run(
    workspace: Workspace,
    listing: Listing,
    *,
    allow_deletions: bool = True,
    reapply: bool = False,
    only: frozenset[str] | None = None,
) -> Planned:
    """What a run would change.

    Args:
        workspace: the run's surroundings.
        listing: what the source holds, archives closed.
        allow_deletions: plan even to retire suspiciously much.
        reapply: bring back what a rollback took out of view.
        only: uris to be tried again; nothing else is changed.

    Raises:
        MassDeletion: it would retire suspiciously much, and `allow_deletions` is off.
    """
    with paused_collection():
        nested, shown_as = _load_nested(workspace, reapply=reapply)
        known, held, rejected = load_known(workspace, nested, reapply=reapply)
        known = spare_scans(workspace, known)
        opened = open_containers(workspace, listing, known, held | rejected)
        if workspace.kind == "images":  # what lies beside an image inside an archive, too
            opened = replace(opened, listing=pair_sidecars(opened.listing))
        listing = opened.listing
        outweighed = _outweighed(listing, known, held, rejected)
        standing = {uri: past for uri, past in rejected.items() if uri not in outweighed}
        plan = plan_changes(
            listing,
            known,
            held | standing,
            workspace.fingerprints,
            scope=workspace.scope,
            hash_many=lambda uris: hash_items(workspace, listing, uris),
        )
    absent = {uri for uri in held if uri not in nested or nested[uri].held == "gone"}
    plan = absorb_nested(plan, listing, nested, known.keys(), absent=absent, shown_as=shown_as)
    plan = replace(_forget_outweighed(plan, workspace, listing, outweighed), reelect=workspace.reelect)
    if only is not None:
        plan = restrict(plan, listing, known, held, only)
    log.info(
        "planned: %d added, %d changed, %d moved, %d deleted, %d unchanged, %d held, %d rejected before",
        len(plan.added), len(plan.changed), len(plan.moved), len(plan.deleted), plan.unchanged,
        len(plan.held), len(plan.rejected),
    )  # fmt: skip
    if not allow_deletions:
        if workspace.named:
            _require_content(workspace, plan)
        if workspace.scope.names is None:
            in_scope = sum(1 for uri in known if workspace.scope.covers(uri))
            in_scope += sum(1 for past in nested.values() if past.held != "absent")
            check_deletions(plan, len(listing.items), in_scope, workspace.collection.guard)
        else:
            _check_named_deletions(workspace, plan)
    return Planned(plan, opened, frozenset(known) if workspace.scope.names is not None else ())


def _check_named_deletions(workspace: Workspace, plan: ChangePlan) -> None:
    """The guard of a run that looks at named documents: those whose absence is meant do not count.

    A share is of all that the source shows. What lay in a folder that is said to be gone counts: the folder
    may be a disk of its own.
    """
    meant, containers = workspace.gone, workspace.gone_containers
    doomed = tuple(uri for uri in plan.deleted if uri not in meant and not is_under(uri, containers))
    if doomed:
        _check_folders(workspace, doomed)
        source_id = workspace.scope.source.id
        shown = count_active(workspace.db, source_id) if source_id is not None else 0
        check_deletions(replace(plan, deleted=doomed), 1, shown, workspace.collection.guard)


def _require_content(workspace: Workspace, plan: ChangePlan) -> None:
    """Believe nothing to be gone from a root that is empty: its disk may not be mounted. The inbox is ours.

    Raises:
        SourceUnavailable: it is empty, and something would be retired.
    """
    if plan.deleted and not workspace.is_inbox and workspace.lister.is_empty_root():
        raise SourceUnavailable(
            f"The source {workspace.scope.source.root_url} lists nothing. Nothing was retired.",
            advice="Check that it is mounted; if it is meant, run `revector ingest` with --allow-deletions.",
        )


def _check_folders(workspace: Workspace, doomed: Collection[str]) -> None:
    """Refuse to believe that a folder has lost all that it held, if that was much."""
    source_id, guard = workspace.scope.source.id, workspace.collection.guard
    assert source_id is not None
    for folder in () if workspace.is_inbox else sorted(workspace.lister.emptied_folders(doomed)):
        held = known_documents(
            workspace.db, source_id, documents=documents_named(workspace.db, source_id, [folder])
        )
        if len(held) >= guard.min_deleted:
            raise SourceUnavailable(
                f"The folder {folder} is empty, and held {len(held)} documents. Nothing was retired.",
                advice="Check that it is mounted; if it is meant, run `revector ingest` for the source.",
            )


def spare_scans(workspace: Workspace, known: dict[str, Known]) -> dict[str, Known]:
    """While tesseract is missing, what was read by it stays as it is: read anew, it would lose pages."""
    if not workspace.collection.ocr.enabled or not workspace.ocr.unavailable:
        return known
    fingerprints = workspace.fingerprints
    return {
        uri: past._replace(fingerprint=fingerprints[past.parser])
        if is_by_ocr(past.parser) and past.parser in fingerprints
        else past
        for uri, past in known.items()
    }


def _outweighed(
    listing: Listing, known: Mapping[str, Known], held: Mapping[str, Known], rejected: Mapping[str, Known]
) -> set[str]:
    """Rejections of held documents whose file is not the one that was rejected: the hold decides."""
    return {
        uri
        for uri, past in rejected.items()
        if (uri in held or (uri in known and known[uri].held))
        and (past.stat is None or listing.items.get(uri) != past.stat)
    }


def _forget_outweighed(
    plan: ChangePlan, workspace: Workspace, listing: Listing, outweighed: Collection[str]
) -> ChangePlan:
    """A document that is held and can be read again stands rejected no more."""
    blocked = frozenset(problem.blocked for problem in listing.problems)
    over = {uri for uri in outweighed if workspace.scope.covers(uri) and not is_under(uri, blocked)}
    return replace(plan, forgotten=(*plan.forgotten, *sorted(over - set(plan.work))))


def _load_nested(workspace: Workspace, *, reapply: bool) -> tuple[dict[str, Known], dict[str, str]]:
    """What sources inside this one show or hold, by uri in this one; and their uris there."""
    nested: dict[str, Known] = {}
    shown_as: dict[str, str] = {}
    for source in workspace.nested:
        assert source.id is not None
        prefix = source.root_url[len(workspace.scope.source.root_url) :].strip("/")
        absent = held_documents(workspace.db, source.id, reapply=reapply)
        for uri, past in (absent | known_documents(workspace.db, source.id, reapply=reapply)).items():
            nested[f"{prefix}/{uri}"] = past
            shown_as[f"{prefix}/{uri}"] = uri
    return nested, shown_as


def load_known(
    workspace: Workspace, nested: Mapping[str, Known], *, reapply: bool = False
) -> tuple[dict[str, Known], dict[str, Known], dict[str, Known]]:
    """By uri: active documents, files held back by a rollback, what stands rejected.

    What a source inside this one holds is held here too, unless this one shows the file itself.
    """
    db, source_id = workspace.db, workspace.scope.source.id
    inside = {uri: past for uri, past in nested.items() if past.held in ("changed", "absent")}
    if source_id is None:
        return {}, inside, {}
    names = workspace.scope.names
    documents = None if names is None else documents_named(db, source_id, names)
    known = known_documents(db, source_id, reapply=reapply, documents=documents)
    held = {uri: past for uri, past in inside.items() if uri not in known}
    rejected = known_rejections(db, source_id, attempts=workspace.settings.limits.parse_attempts)
    return (
        known,
        held | held_documents(db, source_id, reapply=reapply, documents=documents),
        {uri: past for uri, past in rejected.items() if names is None or workspace.scope.covers(uri)},
    )


def hash_items(workspace: Workspace, listing: Listing, uris: Collection[str]) -> dict[str, bytes]:
    """sha256 of items; one that cannot be read is left out."""
    if not uris:
        return {}
    with ThreadPoolExecutor(HASH_THREADS) as threads:
        hashes = threads.map(lambda uri: _hash_item(workspace, listing, uri), uris)
        return {uri: sha256 for uri, sha256 in zip(uris, hashes, strict=True) if sha256 is not None}


def _hash_item(workspace: Workspace, listing: Listing, uri: str) -> bytes | None:
    if (known := member_hash(listing.items[uri])) is not None:
        return known
    hasher = hashlib.sha256()
    try:
        with workspace.lister.open(uri, listing.paths.get(uri, uri)) as (stream, _):
            while block := stream.read(HASH_BLOCK):
                hasher.update(block)
    except DocumentError:
        return None
    return hasher.digest()
