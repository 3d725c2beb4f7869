"""Run the watcher, and tell what it does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from flows.notifying import notify_of
from flows.output_events import print_changes, print_reindex
from flows.session import LoadEmbedder, open_session
from flows.watching import Watcher, count_waiting, open_watch
from schemas.release import Kind
from schemas.settings import Settings

if TYPE_CHECKING:
    from tasks.embedding.base import Embedder
    from tasks.embedding.resolve import Card

RECORDED = "Changes are recorded only: the dispatcher of `revector webhook` has them applied."


def run_watch(
    settings: Settings, path: str, collection_name: str, *, debounce_s: float, poll: bool, kind: Kind | None
) -> bool:
    """Watch a folder until SIGINT or SIGTERM; False where changes could not be stored.

    Raises:
        RevectorError: see `flows.watching`.
    """
    from flows.reindexing import apply_events
    from tasks.batch import plain_steps

    with ExitStack() as stack:
        session = stack.enter_context(open_session(settings))
        session = replace(session, load_embedder=load_once(session.load_embedder))
        steps = stack.enter_context(plain_steps())
        stop = stack.enter_context(_stopped_by_signals())
        collection, watched = open_watch(session, path, collection_name, kind=kind, poll=poll)
        is_dispatched = bool(os.environ.get("PREFECT_API_URL"))
        wait_s = max(debounce_s, settings.webhook.max_wait_s)
        watcher = Watcher(
            session,
            collection,
            watched,
            notify=notify_of(debounce_s=debounce_s, max_wait_s=wait_s, poll=poll),
            apply=None if is_dispatched else partial(apply_events, session, steps, collection_name),
            on_delivery=print_changes,
            on_run=print_reindex,
        )
        print(f"Watching {watched.folder} for collection {collection_name}. Ctrl-C ends it.", flush=True)
        if is_dispatched:
            print(RECORDED, flush=True)
        watcher.run(stop)
        waiting = count_waiting(session, collection)
    if watcher.unsaved:
        print(
            f"{watcher.unsaved} changes could not be stored: the next watch, or an ingest, finds them.",
            file=sys.stderr,
        )
    print("Stopped." if waiting is None else f"Stopped. {waiting} events are pending.", flush=True)
    return not watcher.unsaved


def load_once(load: LoadEmbedder) -> LoadEmbedder:
    """A loader that keeps the model: a run for one small file would mostly load it (1 to 8 s)."""
    loaded: dict[bytes, Embedder] = {}

    def load_or_take(card: Card, settings: Settings) -> Embedder:
        key = card.space().fingerprint  # storage is no matter of the model
        if key not in loaded:
            loaded[key] = load(card, settings)
        return loaded[key]

    return load_or_take


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the second one ends the process at once."""
    stop = threading.Event()

    def handle(number: int, _: object) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
