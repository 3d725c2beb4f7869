"""Waiting for what another process does: until it is true, however slow the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

PATIENCE_S = 900.0
"""Ends a test that would hang. Nothing is measured by it: on a busy machine of two cores a process of a flow
takes half a minute to start, and a test that gives up before that says nothing about revector."""

Found = TypeVar("Found")


def until(
    find: Callable[[], Found],
    what: str | Callable[[], str],
    *,
    every_s: float = 0.05,
    patience_s: float = PATIENCE_S,
    meanwhile: tuple[type[Exception], ...] = (),
) -> Found:
    """The first true answer.

    Args:
        find: asked again and again.
        what: was waited for, in the message of the test that failed; a function that is called then.
        every_s: seconds between two questions.
        patience_s: less only where what ends late has ended for another reason, a limit of CPU time.
        meanwhile: errors that stand for "not yet".
    """
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        try:
            if found := find():
                return found
        except meanwhile:
            pass
        time.sleep(every_s)
    raise AssertionError(f"not within {patience_s:.0f} s: {what if isinstance(what, str) else what()}")


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or dead and not yet collected."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
