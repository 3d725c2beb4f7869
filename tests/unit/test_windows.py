"""The work of a run in windows."""

import pytest

from schemas.plan import ChangePlan
from schemas.settings import LimitSettings
from schemas.source import Listing, Stat
from tasks.windows import make_windows

MB = 1 << 20


def windows(sizes: list[int], **limits: int) -> list[int]:
    """How many documents each window has."""
    uris = [f"{number:06}.txt" for number in range(len(sizes))]
    stats = {uri: Stat(size, 1, 1) for uri, size in zip(uris, sizes, strict=True)}
    plan = ChangePlan(added=tuple(uris[1::2]), changed=tuple(uris[::2]))
    made = list(make_windows(Listing(stats), plan, LimitSettings(**limits)))  # type: ignore[arg-type]
    assert [window.number for window in made] == list(range(1, len(made) + 1))
    assert [item.uri for window in made for item in window.items] == list(plan.work)
    actions = {item.uri: item.action for window in made for item in window.items}
    assert actions == {uri: ("added" if number % 2 else "changed") for number, uri in enumerate(uris)}
    return [len(window.items) for window in made]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [(0, []), (1, [1]), (32, [32]), (33, [32, 1]), (200, [50] * 4), (1030, [256] * 4 + [6])],
)
def test_a_small_run_is_divided_too_so_that_writing_overlaps(documents, expected):
    assert windows([10] * documents) == expected


def test_limits_of_a_window_hold():
    assert windows([10] * 9, window_documents=4) == [4, 4, 1]
    assert windows([MB, MB, 3 * MB, MB], window_mb=2) == [2, 1, 1]
