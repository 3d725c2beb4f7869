"""Bring a collection's prototypes up to date with its current release."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from registry.collections import get_collection, get_space
from registry.connection import Database
from registry.history import find_release
from registry.members import ALL, read_members
from registry.prototypes import confirm_set, find_set, get_set, latest_set, store_set
from schemas.errors import RegistryUnsound
from schemas.prototype import BuildReport, Prototype, PrototypeSet, set_digest
from schemas.release import Collection
from schemas.settings import PrototypeSettings
from tasks.pipeline_fingerprint import hash_facts
from tasks.prototypes.build import BUILD_VERSION, is_mean
from tasks.prototypes.calibrate import choose_thresholds, leave_one_out
from tasks.prototypes.making import Draft, Request, make_prototypes, making
from tasks.prototypes.quality import assess

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""Where other runs make releases or sets all the time."""

MAX_CALIBRATED = 20_000
"""Images that thresholds and quality are measured on; of larger collections an even share of each class."""


def settings_fingerprint(settings: PrototypeSettings) -> bytes:
    """What a set depends on beside its images; which class an image is of is the image's own."""
    return hash_facts({"build": BUILD_VERSION, **settings.model_dump(exclude={"classes"})})


def build_prototypes(
    db: Database,
    collection: Collection,
    settings: PrototypeSettings,
    *,
    rebuild: bool = False,
    keep_rollback: bool = True,
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
        keep_rollback: leave a set that was chosen by hand in use as long as its release is the current one.
        timer: seconds, monotonic.
    """
    started = timer()
    report = BuildReport()
    for attempt in range(ATTEMPTS):
        if attempt:  # another run was faster: what it left is looked at
            collection = get_collection(db, collection.name)
        if _build_once(db, collection, settings, report, rebuild=rebuild, keep_rollback=keep_rollback):
            break
    report.seconds = timer() - started
    return report


def _build_once(
    db: Database,
    collection: Collection,
    settings: PrototypeSettings,
    report: BuildReport,
    *,
    rebuild: bool,
    keep_rollback: bool,
) -> bool:
    """One try; False where another run has changed the collection or its sets meanwhile."""
    if not collection.current_release or collection.active_space_id is None:
        return True
    release = find_release(db, collection, str(collection.current_release))
    base, wanted = latest_set(db, collection.id), settings_fingerprint(settings)
    request = Request(db, collection, collection.active_space_id, release, settings, wanted, base)
    if base is not None and base.seen_release == release.number and not rebuild:
        is_current = keep_rollback if base.is_rollback else base.settings == wanted
        if is_current:
            _describe(report, base)
            return True
    return _build(request, report, rebuild=rebuild)


def _build(request: Request, report: BuildReport, *, rebuild: bool) -> bool:
    db, collection_id, last = request.db, request.collection.id, request.base
    base, draft = _read_base(request), Draft()
    fresh = None if rebuild else _find_equal(request)
    fresh = fresh or _compute(request, None if rebuild else base, draft)
    report.read = draft.read
    report.left_out = {one.name: one.images for one in draft.left_out}
    if last is None and not fresh.prototypes:
        return True
    if last and (last.digest, last.settings, last.is_rollback) == (fresh.digest, fresh.settings, False):
        _describe(report, last)
        return confirm_set(db, collection_id, last.version, fresh)
    stored = store_set(db, collection_id, fresh, after=last.version if last else 0)
    if stored is None:
        return False
    _describe(report, stored)
    report.made = True
    _compare(report, base, stored)
    log.info(
        "prototypes version %d: %d classes, %d of them new or changed",
        stored.version, len(stored.prototypes), len(report.added) + len(report.changed),
    )  # fmt: skip
    return True


def _read_base(request: Request) -> PrototypeSet | None:
    """The set in use with its prototypes; None where there is none, or it is damaged."""
    try:
        return get_set(request.db, request.collection.id) if request.base else None
    except RegistryUnsound as exc:
        log.warning("%s All prototypes are made again.", exc.message)
        return None


def _find_equal(request: Request) -> PrototypeSet | None:
    """What was made of equal images before, to be taken into use again."""
    version = find_set(request.db, request.collection.id, request.release.digest, request.fingerprint)
    if version is None:
        return None
    try:
        equal = get_set(request.db, request.collection.id, version)
    except RegistryUnsound:
        return None
    note = f"as version {version}"
    return replace(equal, seen_release=request.release.number, note=note, is_rollback=False)


def _compute(request: Request, base: PrototypeSet | None, draft: Draft) -> PrototypeSet:
    make_prototypes(request, base, draft)
    return _measure(request, draft)


def _measure(request: Request, draft: Draft) -> PrototypeSet:
    """Thresholds and quality, on all images or an even share of them."""
    settings, prototypes = request.settings, tuple(draft.prototypes)
    members = read_members(
        request.db,
        request.collection.id,
        request.space_id,
        request.release.number,
        classes=[one.name for one in prototypes],
        per_class=measured_share(prototypes, settings),
    )
    measured = leave_one_out(members, prototypes, settings)
    thresholds = choose_thresholds(measured, settings)
    report = assess(members, prototypes, measured, thresholds, draft.left_out)
    report |= {"making": making(settings), "total_images": sum(one.images for one in prototypes)}
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


def measured_share(prototypes: Sequence[Prototype], settings: PrototypeSettings) -> int:
    """How many images of a class are measured at most.

    An image's own part of several vectors can only be told from all of its class.
    """
    images = sum(one.images for one in prototypes)
    if not is_mean(settings) or images <= MAX_CALIBRATED:
        return ALL
    return max(2, MAX_CALIBRATED // len(prototypes))


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
