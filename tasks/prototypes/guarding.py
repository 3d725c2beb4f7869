"""What a run would do to the classes of an image collection, judged before anybody sees it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from registry.members import class_batches, count_classes, count_staged, read_members, read_staged
from schemas.exact_sum import Vectors, add, mean_vector
from schemas.settings import CollectionSettings
from tasks.prototypes.export import name_problem
from tasks.workspace import Workspace

JUDGED_FROM = 5
"""Images: the mean of fewer moves with each new one."""
SHOWN = 5


def judge_classes(workspace: Workspace, release: int) -> list[str]:
    """What is wrong with the classes as the run would leave them, one sentence each.

    Only classes that the run touches are read: one that is left with too few images for a prototype is
    lost, one whose mean turns has moved.

    Args:
        workspace: the run's surroundings.
        release: the number of the one it would replace, 0 for none.
    """
    db, settings, target = workspace.db, workspace.collection, workspace.require_target()
    if release == 0:
        return []
    staged = count_staged(db, target.run_id)
    changes = {name: count for name, count in staged.items() if name_problem(name) is None}
    counts = count_classes(db, target.collection_id, release) if changes else {}
    fewest = settings.prototypes.min_images
    lost = sorted(name for name in changes if counts.get(name, 0) >= fewest > counts[name] + changes[name])
    stays = sorted(name for name in changes if counts.get(name, 0) >= max(fewest, JUDGED_FROM))
    moved: list[tuple[str, float]] = []
    for batch in class_batches([name for name in stays if name not in lost], counts):
        moved += _shifts(workspace, release, batch)
    too_far = [(name, shift) for name, shift in moved if shift > settings.gate.max_prototype_shift]
    if workspace.allow_deletions:
        lost = []
    return [*_say_lost(lost, settings.gate.max_lost_classes), *_say_moved(too_far, settings)]


def _shifts(workspace: Workspace, release: int, classes: list[str]) -> Iterator[tuple[str, float]]:
    """How far the mean of each class would turn."""
    db, target = workspace.db, workspace.require_target()
    old = read_members(db, target.collection_id, target.space_id, release, classes=classes)
    changes = read_staged(db, target.collection_id, target.space_id, target.run_id, classes=classes)
    place = {name: index for index, name in enumerate(changes.members.classes)}
    for index, name in enumerate(old.classes):
        chosen = changes.members.owners == place.get(name, -1)
        vectors = old.vectors[old.owners == index]
        yield name, _shift(vectors, changes.members.vectors[chosen], changes.signs[chosen])


def _shift(old: Vectors, changed: Vectors, signs: np.ndarray) -> float:
    """How far the mean would turn: 1 less the cosine, 0 to 2."""
    total = add(np.zeros(old.shape[1], np.int64), old)
    before, after = mean_vector(total), mean_vector(add(total, changed, signs))
    if before is None or after is None:
        return 2.0
    return float(1 - np.dot(before.astype(np.float64), after))


def _say_lost(lost: list[str], limit: int) -> list[str]:
    if len(lost) <= limit:
        return []
    return [f"{len(lost)} classes would have no prototype: {_list(lost)} (gate.max_lost_classes = {limit})"]


def _say_moved(moved: list[tuple[str, float]], settings: CollectionSettings) -> list[str]:
    if not moved:
        return []
    moved.sort(key=lambda item: -item[1])
    names = _list([f"{name} by {shift:.2f}" for name, shift in moved])
    limit = settings.gate.max_prototype_shift
    return [f"{len(moved)} prototypes would move too far: {names} (gate.max_prototype_shift = {limit:g})"]


def _list(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
