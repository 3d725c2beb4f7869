"""The prototypes of a release: those of the set before it where their images are the same, else made anew."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from registry.connection import Database
from registry.members import class_batches, count_classes, read_changes, read_members
from schemas.errors import VectorsMissing
from schemas.exact_sum import add
from schemas.prototype import LeftOut, Prototype, PrototypeSet
from schemas.release import Collection, Release
from schemas.settings import PrototypeSettings
from tasks.prototypes.build import (
    BUILD_VERSION,
    NO_DIRECTION,
    TOO_FEW,
    build_prototype,
    is_mean,
    prototype_of_sum,
)
from tasks.prototypes.export import name_problem

Sums = dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be built: of which release, how, and from which set it may go on."""

    db: Database
    collection: Collection
    space_id: int
    release: Release
    settings: PrototypeSettings
    fingerprint: bytes
    base: PrototypeSet | None


@dataclass(slots=True)
class Draft:
    """Prototypes on their way; `read` counts the vectors that were read for them."""

    prototypes: list[Prototype] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    read: int = 0


def make_prototypes(request: Request, base: PrototypeSet | None, draft: Draft) -> None:
    """Fill the draft, going on from the base where that is of the same vectors and made the same way."""
    counts = _usable(count_classes(request.db, request.collection.id, request.release.number), draft)
    known = {one.name: one for one in base.prototypes} if base and _may_go_on(request, base) else {}
    changed, sums = _changes(request, base if known else None, known, counts, draft)
    for name, prototype in known.items():
        if name in counts and name not in changed:
            draft.prototypes.append(prototype)
    _add_summed(sums, counts, draft)
    _add_read(request, sorted(changed - sums.keys()), counts, draft)
    draft.prototypes = [one for one in draft.prototypes if _is_large_enough(request, one, draft)]
    draft.prototypes.sort(key=lambda one: one.name)


def _usable(counts: dict[str, int], draft: Draft) -> dict[str, int]:
    """Without classes that no export can name: one would keep all others from the serving side."""
    problems = {name: problem for name in counts if (problem := name_problem(name)) is not None}
    draft.left_out += [LeftOut(name, counts[name], f"its name {why}") for name, why in problems.items()]
    return {name: count for name, count in counts.items() if name not in problems}


def _may_go_on(request: Request, base: PrototypeSet) -> bool:
    """Whether a set's prototypes are of the same vectors and made the same way."""
    return base.space_id == request.space_id and base.report.get("making") == making(request.settings)


def making(settings: PrototypeSettings) -> dict[str, object]:
    """What a prototype depends on beside its images; thresholds and minima do not matter to it."""
    return {"build": BUILD_VERSION, "k": settings.k, "trim": settings.trim}


def _changes(
    request: Request,
    base: PrototypeSet | None,
    known: dict[str, Prototype],
    counts: dict[str, int],
    draft: Draft,
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
            old=base.images_release,
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


def _add_summed(sums: Sums, counts: dict[str, int], draft: Draft) -> None:
    for name, total in sums.items():
        _take(prototype_of_sum(name, counts[name], total), name, counts[name], draft)


def _add_read(request: Request, names: list[str], counts: dict[str, int], draft: Draft) -> None:
    """Classes made from all of their images, some at a time: a first build may have a million."""
    small = [name for name in names if counts[name] < request.settings.min_images]
    draft.left_out += [LeftOut(name, counts[name], TOO_FEW) for name in small]
    for batch in class_batches([name for name in names if name not in set(small)], counts):
        members = read_members(
            request.db, request.collection.id, request.space_id, request.release.number, classes=batch
        )
        draft.read += len(members.uris)
        for index, name in enumerate(members.classes):
            vectors = members.vectors[members.owners == index]
            _take(build_prototype(name, vectors, request.settings), name, len(vectors), draft)


def _take(prototype: Prototype | None, name: str, images: int, draft: Draft) -> None:
    if prototype is None:
        draft.left_out.append(LeftOut(name, images, NO_DIRECTION))
    else:
        draft.prototypes.append(prototype)


def _is_large_enough(request: Request, prototype: Prototype, draft: Draft) -> bool:
    if prototype.images >= request.settings.min_images:
        return True
    draft.left_out.append(LeftOut(prototype.name, prototype.images, TOO_FEW))
    return False
