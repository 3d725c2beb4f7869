"""What changed: stat, then content hash, then pipeline fingerprint. Pure but for `hash_many`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from schemas.errors import MassDeletion
from schemas.plan import ChangePlan, Known, Retirement
from schemas.settings import GuardSettings
from schemas.source import Listing, Scope, Stat, is_under

HashMany = Callable[[Collection[str]], Mapping[str, bytes]]
"""uris -> sha256; a uri that cannot be read is left out (its fetch will say why)."""

SHOWN_DELETIONS = 20
COARSE_NS = 2_000_000_000
TICK_NS = 20_000_000


def plan_changes(
    listing: Listing,
    known: Mapping[str, Known],
    rejected: Mapping[str, Known],
    fingerprints: Mapping[str, bytes],
    *,
    scope: Scope,
    hash_many: HashMany,
) -> ChangePlan:
    """Compare what is listed with what is known.

    A file whose stat is equal is not read. Otherwise equal bytes only bring a new stat, other
    bytes a change; so does a pipeline fingerprint that is no longer the current one. A new
    file with the bytes of a vanished one is that one, moved.

    Args:
        listing: what the source holds now, inside the scope.
        known: by uri, the active documents of the whole source.
        rejected: by uri, what stands rejected, and what a rollback took out of view.
        fingerprints: parser name -> current pipeline fingerprint.
        scope: nothing outside it is taken as deleted.
        hash_many: reads and hashes items.
    """
    first = _sort_by_stat(listing.items, known, rejected, fingerprints)
    hashes = dict(hash_many(first.to_hash))
    draft = _sort_by_content(first, listing.items, known, rejected, fingerprints, hashes)
    blocked = frozenset(problem.blocked for problem in listing.problems)
    missing = {
        uri for uri in known.keys() - listing.items.keys() if scope.covers(uri) and not is_under(uri, blocked)
    }
    deleted = {uri for uri in missing if known[uri].held != "gone"}
    unlisted = sorted(
        uri
        for uri in rejected.keys() - listing.items.keys()
        if scope.covers(uri) and not is_under(uri, blocked)
    )
    moved = _find_moves(draft.added, deleted, listing.items, known, hash_many, hashes)
    return ChangePlan(
        added=tuple(sorted(draft.added - {new for _, new in moved})),
        changed=tuple(sorted(draft.changed)),
        moved=tuple(sorted(moved)),
        deleted=tuple(sorted(deleted - {old for old, _ in moved})),
        unchanged=draft.unchanged,
        held=tuple(sorted(draft.held | (missing - deleted))),
        rejected=tuple(sorted(draft.rejected)),
        restat=draft.restat,
        bases={uri: known[uri].version_id for uri in draft.changed},
        forgotten=tuple(uri for uri in unlisted if not rejected[uri].held),
        settled=tuple(rejected[uri].document_id for uri in unlisted if rejected[uri].held == "absent"),
        retired=_retire(deleted, moved, known),
    )


def _retire(
    deleted: Iterable[str], moved: Iterable[tuple[str, str]], known: Mapping[str, Known]
) -> tuple[Retirement, ...]:
    """What the plan ends: the gone, and the moved once their new name is there."""
    names = dict.fromkeys(sorted(deleted)) | dict(moved)
    return tuple(Retirement(known[old].document_id, known[old].version_id, new) for old, new in names.items())


def absorb_nested(
    plan: ChangePlan,
    listing: Listing,
    nested: Mapping[str, Known],
    known: Collection[str],
    *,
    absent: Collection[str],
    shown_as: Mapping[str, str],
) -> ChangePlan:
    """Take over what a source inside this one shows: the same files, under their new names.

    Args:
        plan: of the wider source alone.
        listing: what the wider source holds.
        nested: by uri in the wider source, what the source inside shows or holds.
        known: uris that the wider source shows itself.
        absent: uris that the wider source has and holds back itself.
        shown_as: uri in the wider source -> uri in the source inside, for the report.
    """
    blocked = frozenset(problem.blocked for problem in listing.problems)
    added, moved, deleted = set(plan.added), list(plan.moved), list(plan.deleted)
    retired, held, settled = list(plan.retired), set(plan.held), list(plan.settled)
    for uri, past in sorted(nested.items()):
        successor = None
        if past.held == "absent":  # not shown; once the wider source shows it, nothing is held
            if uri in known:
                settled.append(past.document_id)
            continue
        if uri in added:
            added.remove(uri)
            moved.append((shown_as[uri], uri))
            successor = uri
        elif uri not in listing.items:
            if is_under(uri, blocked):
                continue
            if past.held == "gone" and uri not in absent:
                held.add(uri)
                continue
            deleted.append(uri)
        elif uri not in known:  # listed, but rejected: what is shown stays
            continue
        retired.append(Retirement(past.document_id, past.version_id, successor))
    return replace(
        plan,
        added=tuple(sorted(added)),
        moved=tuple(sorted(moved)),
        deleted=tuple(sorted(deleted)),
        held=tuple(sorted(held)),
        settled=tuple(settled),
        retired=tuple(retired),
    )


def check_deletions(plan: ChangePlan, listed: int, known: int, guard: GuardSettings) -> None:
    """Refuse a run that would retire suspiciously much.

    Args:
        plan: what would happen.
        listed: number of items the source listed in the scope.
        known: number of active documents in the scope, those of sources inside it included.
        guard: the limits.

    Raises:
        MassDeletion: over the limits, or the source lists nothing at all.
    """
    doomed = len(plan.deleted)
    if doomed == 0 and listed == 0 and plan.settled:
        raise MassDeletion(
            f"The source lists nothing. This run would hold {len(plan.settled)} documents no longer that a "
            "rollback took out of view. Nothing was changed.",
            advice="Check that the source is complete and mounted; if it is meant, "
            "run again with --allow-deletions.",
            deleted=[],
            known=known,
        )
    if doomed == 0:
        return
    share = doomed / max(known, doomed)
    too_many = doomed >= guard.min_deleted and share > guard.max_deleted_share
    if not too_many and listed > 0:
        return
    shown = ", ".join(plan.deleted[:SHOWN_DELETIONS])
    more = f" and {doomed - SHOWN_DELETIONS} more" if doomed > SHOWN_DELETIONS else ""
    why = "the source lists nothing" if listed == 0 else f"{share:.0%} of {known}"
    raise MassDeletion(
        f"This run would retire {doomed} documents ({why}): {shown}{more}. Nothing was changed.",
        advice="Check that the source is complete and mounted; if it is meant, "
        "run again with --allow-deletions.",
        deleted=list(plan.deleted),
        known=known,
    )


def is_racy(stat: Stat, read_ns: int) -> bool:
    """Whether the file could change once more without its stat showing it.

    A change in the clock tick of the last one leaves the same times; git treats such entries
    as dirty (its "racy git" note), and so do we: their stat is not remembered. File systems
    with whole-second times get two seconds.
    """
    window = COARSE_NS if stat.ctime_ns % 1_000_000_000 == 0 else TICK_NS
    return bool(stat.ctime_ns) and stat.ctime_ns > read_ns - window


@dataclass(slots=True)
class _Draft:
    added: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    same_stat: list[str] = field(default_factory=list)
    to_hash: list[str] = field(default_factory=list)
    unchanged: int = 0
    restat: dict[str, Stat] = field(default_factory=dict)


def _sort_by_stat(
    items: Mapping[str, Stat],
    known: Mapping[str, Known],
    rejected: Mapping[str, Known],
    fingerprints: Mapping[str, bytes],
) -> _Draft:
    draft = _Draft()
    for uri, stat in items.items():
        past = (rejected.get(uri) if rejected else None) or known.get(uri)
        if past is None:
            draft.added.add(uri)
        elif past.stat == stat:
            if fingerprints.get(past.parser) == past.fingerprint and not (past.rejected or past.held):
                draft.unchanged += 1
            else:
                draft.same_stat.append(uri)
        elif past.content_sha256 is None:  # a rejection worth another try
            (draft.changed if uri in known else draft.added).add(uri)
        else:
            draft.to_hash.append(uri)
    return draft


def _sort_by_content(
    draft: _Draft,
    items: Mapping[str, Stat],
    known: Mapping[str, Known],
    rejected: Mapping[str, Known],
    fingerprints: Mapping[str, bytes],
    hashes: Mapping[str, bytes],
) -> _Draft:
    same = list(draft.same_stat)
    for uri in draft.to_hash:
        past = rejected.get(uri) or known[uri]
        if hashes.get(uri) == past.content_sha256:
            draft.restat[uri] = items[uri]
            same.append(uri)
        else:
            (draft.changed if uri in known else draft.added).add(uri)
    for uri in same:
        past = rejected.get(uri) or known[uri]
        if fingerprints.get(past.parser) != past.fingerprint:
            (draft.changed if uri in known else draft.added).add(uri)
        elif past.held:
            draft.held.add(uri)
        elif past.rejected:
            draft.rejected.add(uri)
        else:
            draft.unchanged += 1
    return draft


def _find_moves(
    added: Iterable[str],
    deleted: Iterable[str],
    items: Mapping[str, Stat],
    known: Mapping[str, Known],
    hash_many: HashMany,
    hashes: dict[str, bytes],
) -> list[tuple[str, str]]:
    gone: dict[bytes, list[str]] = {}
    for uri in sorted(deleted, reverse=True):
        if (sha256 := known[uri].content_sha256) is not None:
            gone.setdefault(sha256, []).append(uri)
    if not gone:
        return []
    sizes = {stat.size for uri in deleted if (stat := known[uri].stat) is not None}
    unknown_size = any(known[uri].stat is None for uri in deleted)
    candidates = sorted(uri for uri in added if unknown_size or items[uri].size in sizes)
    hashes.update(hash_many(candidates))
    moves = []
    for uri in candidates:
        if olds := gone.get(hashes.get(uri, b"")):
            moves.append((olds.pop(), uri))
    return moves
