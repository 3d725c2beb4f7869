"""Bring a collection's prototypes up to date with its current release."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from registry.collections import get_space
from registry.connection import Database
from registry.history import find_release
from registry.members import ALL, count_classes, read_changes, read_members
from registry.prototypes import confirm_set, find_set, get_set, latest_set, store_set
from schemas.errors import VectorsMissing
from schemas.prototype import BuildReport, LeftOut, Prototype, PrototypeSet, set_digest
from schemas.release import Collection, Release
from schemas.settings import PrototypeSettings
from tasks.pipeline_fingerprint import hash_facts
from tasks.prototypes.build import (
    BUILD_VERSION,
    NO_DIRECTION,
    TOO_FEW,
    build_prototype,
    is_mean,
    prototype_of_sum,
)
from tasks.prototypes.calibrate import choose_thresholds, leave_one_out
from tasks.prototypes.quality import assess
from tasks.prototypes.sums import add

log = logging.getLogger(__name__)

MAX_CALIBRATED = 20_000
"""Images that thresholds and quality are measured on; of larger collections an even share of each class."""

READ_AT_ONCE = 200_000
"""Images whose vectors are in memory together: 400 MB of 512 dimensions."""

Sums = dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _Request:
    """What is to be built: of which release, how, and from which set it may go on."""

    db: Database
    collection: Collection
    space_id: int
    release: Release
    settings: PrototypeSettings
    fingerprint: bytes
    base: PrototypeSet | None


@dataclass(slots=True)
class _Draft:
    """Prototypes on their way; `read` counts the vectors that were read for them."""

    prototypes: list[Prototype] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    read: int = 0


def settings_fingerprint(settings: PrototypeSettings) -> bytes:
    """What a set depends on beside its images; which class an image is of is the image's own."""
    return hash_facts({"build": BUILD_VERSION, **settings.model_dump(exclude={"classes"})})


def build_prototypes(
    db: Database,
    collection: Collection,
    settings: PrototypeSettings,
    *,
    rebuild: bool = False,
    timer: Callable[[], float] = perf_counter,
) -> BuildReport:
    """A set for what the collection shows now, where the one in use is not of that.

    Sums go on from those of the set before: only images that came or went are read for them. Equal
    images under equal settings lead to the set that they had before, as after a rollback.

    Args:
        db: the registry.
        collection: an image collection, as it is now.
        settings: how.
        rebuild: from all images, whatever is stored.
        timer: seconds, monotonic.
    """
    started = timer()
    report = BuildReport()
    if collection.current_release and collection.active_space_id is not None:
        release = find_release(db, collection, str(collection.current_release))
        base, wanted = latest_set(db, collection.id), settings_fingerprint(settings)
        request = _Request(db, collection, collection.active_space_id, release, settings, wanted, base)
        is_current = base is not None and (base.seen_release, base.settings) == (release.number, wanted)
        if rebuild or not is_current:
            _build(request, report, rebuild=rebuild)
        else:
            assert base is not None
            _describe(report, base)
    report.seconds = timer() - started
    return report


def _build(request: _Request, report: BuildReport, *, rebuild: bool) -> None:
    db, collection_id = request.db, request.collection.id
    base = get_set(db, collection_id) if request.base else None
    draft = _Draft()
    fresh = None if rebuild else _find_equal(request)
    fresh = fresh or _compute(request, None if rebuild else base, draft)
    report.read = draft.read
    report.left_out = {one.name: one.images for one in draft.left_out}
    if base is None and not fresh.prototypes:
        return
    if base is not None and (base.digest, base.settings) == (fresh.digest, fresh.settings):
        confirm_set(db, collection_id, base.version, seen_release=request.release.number)
        _describe(report, base)
        return
    stored = store_set(db, collection_id, fresh)
    if stored is None:  # a run of a later release was faster: its set is in use
        _describe(report, latest_set(db, collection_id))
        return
    _describe(report, stored)
    report.made = True
    _compare(report, base, stored)
    log.info(
        "prototypes version %d: %d classes, %d of them new or changed",
        stored.version, len(stored.prototypes), len(report.added) + len(report.changed),
    )  # fmt: skip


def _find_equal(request: _Request) -> PrototypeSet | None:
    """What was made of equal images before, to be taken into use again."""
    version = find_set(request.db, request.collection.id, request.release.digest, request.fingerprint)
    if version is None:
        return None
    equal = get_set(request.db, request.collection.id, version)
    return replace(equal, seen_release=request.release.number, note=f"as version {version}")


def _compute(request: _Request, base: PrototypeSet | None, draft: _Draft) -> PrototypeSet:
    counts = count_classes(request.db, request.collection.id, request.release.number)
    known = {one.name: one for one in base.prototypes} if _may_go_on(request, base) and base else {}
    changed, sums = _changes(request, base if known else None, known, counts, draft)
    for name, prototype in known.items():
        if name in counts and name not in changed:
            draft.prototypes.append(prototype)
    _add_summed(request, sums, counts, draft)
    _add_read(request, sorted(changed - sums.keys()), counts, draft)
    draft.prototypes = [one for one in draft.prototypes if _is_large_enough(request, one, draft)]
    draft.prototypes.sort(key=lambda one: one.name)
    return _measure(request, draft)


def _may_go_on(request: _Request, base: PrototypeSet | None) -> bool:
    """Whether a set's prototypes are of the same vectors and made the same way."""
    if base is None or base.space_id != request.space_id:
        return False
    return base.report.get("making") == _making(request.settings)


def _making(settings: PrototypeSettings) -> dict[str, object]:
    """What a prototype depends on beside its images; thresholds and minima do not matter to it."""
    return {"build": BUILD_VERSION, "k": settings.k, "trim": settings.trim}


def _changes(
    request: _Request,
    base: PrototypeSet | None,
    known: dict[str, Prototype],
    counts: dict[str, int],
    draft: _Draft,
) -> tuple[set[str], Sums]:
    """Classes that are to be made anew, and the new sums of those where the old one could go on.

    The number of images proves it: where a purge has removed what went, the numbers do not fit.
    """
    changed = {name for name in counts if name not in known or known[name].images != counts[name]}
    if base is None:
        return changed, {}
    try:
        changes = read_changes(
            request.db,
            request.collection.id,
            request.space_id,
            old=base.release,
            release=request.release.number,
        )
    except VectorsMissing:
        return set(counts), {}
    members, sums = changes.members, Sums()
    draft.read += len(members.uris)
    for index, name in enumerate(members.classes):
        chosen = members.owners == index
        changed |= {name} & counts.keys()
        past = known.get(name)
        if (
            past
            and is_mean(request.settings)
            and past.images + changes.signs[chosen].sum() == counts.get(name)
        ):
            sums[name] = add(past.sum, members.vectors[chosen], changes.signs[chosen])
    return changed, sums


def _add_summed(request: _Request, sums: Sums, counts: dict[str, int], draft: _Draft) -> None:
    for name, total in sums.items():
        _take(prototype_of_sum(name, counts[name], total), name, counts[name], draft)


def _add_read(request: _Request, names: list[str], counts: dict[str, int], draft: _Draft) -> None:
    """Classes made from all of their images, some at a time: a first build may have a million."""
    small = [name for name in names if counts[name] < request.settings.min_images]
    draft.left_out += [LeftOut(name, counts[name], TOO_FEW) for name in small]
    for batch in _batches([name for name in names if name not in set(small)], counts):
        members = read_members(
            request.db, request.collection.id, request.space_id, request.release.number, classes=batch
        )
        draft.read += len(members.uris)
        for index, name in enumerate(members.classes):
            vectors = members.vectors[members.owners == index]
            _take(build_prototype(name, vectors, request.settings), name, len(vectors), draft)


def _batches(names: list[str], counts: dict[str, int]) -> Iterator[list[str]]:
    """Names of classes that together have about as many images as are read at once."""
    batch: list[str] = []
    for name in names:
        if batch and sum(counts[other] for other in batch) + counts[name] > READ_AT_ONCE:
            yield batch
            batch = []
        batch.append(name)
    if batch:
        yield batch


def _take(prototype: Prototype | None, name: str, images: int, draft: _Draft) -> None:
    if prototype is None:
        draft.left_out.append(LeftOut(name, images, NO_DIRECTION))
    else:
        draft.prototypes.append(prototype)


def _is_large_enough(request: _Request, prototype: Prototype, draft: _Draft) -> bool:
    if prototype.images >= request.settings.min_images:
        return True
    draft.left_out.append(LeftOut(prototype.name, prototype.images, TOO_FEW))
    return False


def _measure(request: _Request, draft: _Draft) -> PrototypeSet:
    """Thresholds and quality, on all images or an even share of them."""
    settings, prototypes = request.settings, tuple(draft.prototypes)
    images = sum(one.images for one in prototypes)
    share = max(2, MAX_CALIBRATED // max(1, len(prototypes)))
    members = read_members(
        request.db,
        request.collection.id,
        request.space_id,
        request.release.number,
        classes=[one.name for one in prototypes],
        # an image's own part of several vectors can only be told from all of its class
        per_class=share if is_mean(settings) and images > MAX_CALIBRATED else ALL,
    )
    measured = leave_one_out(members, prototypes, settings)
    thresholds = choose_thresholds(measured, settings)
    report = assess(members, prototypes, measured, thresholds, draft.left_out)
    report |= {"making": _making(settings), "total_images": images}
    space = get_space(request.db, request.space_id)
    return PrototypeSet(
        version=0,
        release=request.release.number,
        release_digest=request.release.digest,
        seen_release=request.release.number,
        space_id=request.space_id,
        settings=request.fingerprint,
        thresholds=thresholds,
        digest=set_digest((one.hash(space.fingerprint) for one in prototypes), thresholds),
        report=report,
        prototypes=prototypes,
    )


def _describe(report: BuildReport, found: PrototypeSet | None) -> None:
    if found is None:
        return
    report.version, report.digest, report.release = found.version, found.digest.hex(), found.release
    report.classes = int(found.report["statistics"]["total_classes"])
    report.images = int(found.report["total_images"])


def _compare(report: BuildReport, old: PrototypeSet | None, new: PrototypeSet) -> None:
    before = {one.name: one for one in old.prototypes} if old else {}
    after = {one.name: one for one in new.prototypes}
    report.added = sorted(after.keys() - before.keys())
    report.lost = sorted(before.keys() - after.keys())
    report.changed = sorted(
        name for name in after.keys() & before.keys() if not _equal(before[name], after[name])
    )


def _equal(a: Prototype, b: Prototype) -> bool:
    return a.images == b.images and np.array_equal(a.sum, b.sum) and np.array_equal(a.vectors, b.vectors)
