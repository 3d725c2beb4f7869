"""Are class prototypes what their names say, and the means of the images they were made of?"""

from __future__ import annotations

import numpy as np

from registry.collections import get_space
from registry.connection import Database
from registry.history import find_release
from registry.members import class_batches, count_classes, read_members
from registry.prototypes import get_set, list_sets
from schemas.check import PROTOTYPES, CheckReport, Problem
from schemas.errors import EmbeddingFailed, RegistryUnsound, ReleaseNotFound, VectorsMissing
from schemas.exact_sum import add
from schemas.prototype import PrototypeSet, set_digest
from schemas.release import Collection


def check_prototypes(db: Database, collection: Collection, report: CheckReport) -> None:
    """All sets by their digests; the one in use by a recount too, while its release is whole."""
    sets = list_sets(db, collection.id)
    report.checked["prototypes"] = len(sets)
    wrong = [one.version for one in sets if not _is_sound(db, collection, one.version)]
    if wrong:
        named = ", ".join(map(str, sorted(wrong)))
        report.problems.append(Problem(PROTOTYPES, f"versions {named} are not what their digest says"))
    elif sets and (differs := _recount(db, collection, get_set(db, collection.id))):
        report.problems.append(
            Problem(PROTOTYPES, f"{len(differs)} classes of version {sets[0].version} differ")
        )


def _is_sound(db: Database, collection: Collection, version: int) -> bool:
    """Whether its prototypes are those their hashes name, and it those that its digest names."""
    try:
        found = get_set(db, collection.id, version)
    except RegistryUnsound:
        return False
    fingerprint = get_space(db, found.space_id).fingerprint
    hashes = [one.hash(fingerprint) for one in found.prototypes]
    return set_digest(hashes, found.thresholds) == found.digest


def _recount(db: Database, collection: Collection, found: PrototypeSet) -> list[str]:
    """Classes whose images, or their sum, are not those of the release they were made of."""
    try:
        if find_release(db, collection, str(found.release)).missing:
            return []
        counts = count_classes(db, collection.id, found.release)
        differs = [one.name for one in found.prototypes if one.images != counts.get(one.name)]
        sums = {one.name: one.sum for one in found.prototypes}
        for batch in class_batches([name for name in sums if name not in differs], counts):
            members = read_members(db, collection.id, found.space_id, found.release, classes=batch)
            for index, name in enumerate(members.classes):
                vectors = members.vectors[members.owners == index]
                # the vectors of a mean follow from the sum; those of several clusters are held by their hash
                if not np.array_equal(add(np.zeros_like(sums[name]), vectors), sums[name]):
                    differs.append(name)
    except (ReleaseNotFound, VectorsMissing, EmbeddingFailed):  # other checks say what is missing or unsound
        return []
    return differs
