"""Work that meets a switch of its collection to another model, and is begun again with that one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from schemas.errors import SpaceSwitched

ATTEMPTS = 10
"""Each is lost to a switch between two models: three were, to four rollbacks within a second (2026-11-21)."""

Made = TypeVar("Made")


def in_one_space(attempt: Callable[[], Made]) -> Made:
    """What `attempt` gives, which reads the collection anew each time.

    Raises:
        SpaceSwitched: the collection was switched during each of the attempts.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except SpaceSwitched:
            continue
    return attempt()
