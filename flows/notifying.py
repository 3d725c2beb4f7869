"""What the operating system tells of a folder's changes, in bursts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path

TICK_S = 0.5
"""How often the folder itself and what waits in memory are looked at."""
LAST_BURST_S = 5.0
"""How long a burst of changes may go on after the watch was told to stop."""
POLL_MS = 1000
"""Between two looks at all files of a mount."""

Changes = Set[tuple[int, str]]
Notify = Callable[[Path, threading.Event], Iterator[Changes]]
"""Bursts of changes of a folder until the event is set; an empty one at least every `TICK_S`."""


def notify_of(*, debounce_s: float, max_wait_s: float, poll: bool) -> Notify:
    """The notifications of the operating system.

    Args:
        debounce_s: a burst is over when nothing new has changed for so long ...
        max_wait_s: ... or when it goes on for so long.
        poll: look at all files again and again instead: on a network mount nothing is notified.
    """

    def notify(folder: Path, stop: threading.Event) -> Iterator[Changes]:
        from watchfiles import watch

        step = max(1, round(debounce_s * 1000))
        poll_ms = max(step, POLL_MS)
        left = 2 + poll_ms // round(TICK_S * 1000) if poll else 2  # rounds: what has changed is still told
        with _after_last_burst(stop) as end:
            for burst in watch(
                folder,
                watch_filter=None,  # what is excluded the source's own patterns say
                step=step,
                debounce=max(step, round(max_wait_s * 1000)),
                rust_timeout=round(TICK_S * 1000),
                yield_on_timeout=True,
                stop_event=end,
                raise_interrupt=False,
                force_polling=poll or None,
                poll_delay_ms=poll_ms,
                ignore_permission_denied=True,
            ):
                yield burst
                left -= stop.is_set()
                if not left:
                    return

    return notify


@contextmanager
def _after_last_burst(stop: threading.Event) -> Iterator[threading.Event]:
    """An event that is set some time after `stop`: what had changed until then is still told."""
    end = threading.Event()

    def follow() -> None:
        while not end.wait(TICK_S):
            if stop.is_set():
                end.wait(LAST_BURST_S)
                end.set()

    threading.Thread(target=follow, name="watch-end", daemon=True).start()
    try:
        yield end
    finally:
        end.set()
