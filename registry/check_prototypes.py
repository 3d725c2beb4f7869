"""Are class prototypes what their names say, and the means of the images they were made of?"""

from __future__ import annotations

import numpy as np

from registry.connection import Database
from registry.history import find_release
from registry.members import class_batches, count_classes, read_members
from registry.prototypes import find_damaged, get_set
from schemas.check import PROTOTYPES, CheckReport, Problem
from schemas.errors import EmbeddingFailed, PrototypesNotFound, ReleaseNotFound, VectorsMissing
from schemas.exact_sum import add
from schemas.prototype import PrototypeSet
from schemas.release import Collection


def check_prototypes(db: Database, collection: Collection, report: CheckReport) -> None:
    """All sets by their digests; the one in use by a recount too, while its release is whole."""
    damaged, report.checked["prototypes"] = find_damaged(db, collection.id)
    if damaged:
        named = ", ".join(map(str, damaged))
        report.problems.append(Problem(PROTOTYPES, f"versions {named} are not what their digest says"))
    elif report.checked["prototypes"]:
        _check_recount(db, collection, report)


def _check_recount(db: Database, collection: Collection, report: CheckReport) -> None:
    try:
        found = get_set(db, collection.id)
    except PrototypesNotFound:  # an image was forgotten meanwhile, and its prototypes with it
        return
    if differs := _recount(db, collection, found):
        detail = f"{len(differs)} classes of version {found.version} differ"
        report.problems.append(Problem(PROTOTYPES, detail))


def _recount(db: Database, collection: Collection, found: PrototypeSet) -> list[str]:
    """Classes whose images, or their sum, are not those of the release they were made of."""
    try:
        if find_release(db, collection, str(found.images_release)).missing:
            return []
        counts = count_classes(db, collection.id, found.images_release)
        differs = [one.name for one in found.prototypes if one.images != counts.get(one.name)]
        sums = {one.name: one.sum for one in found.prototypes}
        for batch in class_batches([name for name in sums if name not in differs], counts):
            members = read_members(db, collection.id, found.space_id, found.images_release, classes=batch)
            for index, name in enumerate(members.classes):
                vectors = members.vectors[members.owners == index]
                # the vectors of a mean follow from the sum; those of several clusters are held by their hash
                if not np.array_equal(add(np.zeros_like(sums[name]), vectors), sums[name]):
                    differs.append(name)
    except (ReleaseNotFound, VectorsMissing, EmbeddingFailed):  # other checks say what is missing or unsound
        return []
    return differs
