"""The work of a run in windows: what is prepared together, while the window before it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.plan import ChangePlan
from schemas.settings import LimitSettings
from schemas.source import Listing
from schemas.version import Action
from tasks.items import WorkItem
from tasks.workspace import MB

WINDOWS = 4
"""A run has so many at least, where they are not tiny: one alone is not written beside the next."""
LEAST_DOCUMENTS = 32


class Window:
    """Some documents that are processed together. Not a dataclass: see `Workspace`."""

    def __init__(self, number: int, items: Sequence[WorkItem]) -> None:
        self.number = number
        self.items = items


def make_windows(listing: Listing, plan: ChangePlan, limits: LimitSettings) -> Iterator[Window]:
    """The plan's work in windows of bounded number and size, in order of uri."""
    work = plan.work
    most = min(limits.window_documents, max(LEAST_DOCUMENTS, -(-len(work) // WINDOWS)))
    actions: dict[str, Action] = {
        **dict.fromkeys(plan.changed, "changed"),
        **{new: "moved" for _, new in plan.moved},
    }
    items: list[WorkItem] = []
    size, number = 0, 1
    for uri in work:
        stat = listing.items[uri]
        if items and (len(items) >= most or size + stat.size > limits.window_mb * MB):
            yield Window(number, items)
            items, size, number = [], 0, number + 1
        path, action = listing.paths.get(uri, uri), actions.get(uri, "added")
        items.append(WorkItem(uri, path, action, stat, plan.bases.get(uri)))
        size += stat.size
    if items:
        yield Window(number, items)
