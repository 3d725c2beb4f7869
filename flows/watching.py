"""`revector watch`: changes of a folder become events as they happen."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from flows.notifying import TICK_S, Changes, Notify
from flows.reindexing import ReindexReport
from flows.session import Session, kind_of
from registry.collections import ensure_collection, ensure_source, find_collection, list_sources
from registry.containers import container_uris
from registry.documents import documents_named, known_documents
from registry.events import accept_delivery, count_pending, pending_collections
from schemas.errors import ConfigurationError, DatabaseUnavailable, RevectorError, SourceNotFound
from schemas.event import Delivery, NamedChange
from schemas.release import Collection, Kind
from schemas.source import Source
from tasks.sources.base import is_remote, locate, open_lister
from tasks.sources.named import ancestors
from tasks.sources.noticing import Watched, merge_changes, name_changes

log = logging.getLogger(__name__)

SENDER = "watch"
MOST_RETRY_S = 60.0
WATCHFILES = "_rust_notify"

LIMIT_ADVICE = (
    "Raise the kernel's limit (`sysctl fs.inotify.max_user_watches`: one for each folder), or use --poll."
)

Report = Callable[[tuple[NamedChange, ...]], None]
Apply = Callable[[], ReindexReport]


def open_watch(
    session: Session, path: str, collection_name: str, *, kind: Kind | None = None, poll: bool = False
) -> tuple[Collection, Watched]:
    """Register what a path names, as an ingest does.

    Raises:
        ConfigurationError: it is no local folder, or the collection is of another kind.
        SourceNotFound: there is nothing at the path, or it is our own data.
    """
    settings = session.settings.collection(collection_name)
    if is_remote(path):
        raise ConfigurationError(
            f"{path} is not on this machine.", advice="Let its store send events to `revector webhook`."
        )
    found = find_collection(session.db, collection_name)
    known = list_sources(session.db, found.id) if found else []
    scope = locate(path, known, include=settings.include, exclude=settings.exclude)
    folder = Path(scope.source.root_url) / (scope.path or scope.prefix)
    if not folder.is_dir():
        raise ConfigurationError(f"{path} is not a folder.", advice="Watch the folder it lies in.")
    home = session.settings.home.resolve()
    open_lister(scope.source, home=home).resolve_names({"./"})  # our own data is refused here
    collection = ensure_collection(
        session.db, collection_name, kind=kind_of(collection_name, found, settings, kind)
    )
    source = ensure_source(session.db, collection.id, scope.source)
    inside = [
        replace(one, include=settings.include, exclude=settings.exclude)
        for one in known
        if one.id != source.id and Path(one.root_url).is_relative_to(folder)
    ]
    return collection, Watched(folder, (source, *inside), home, may_vanish=poll)


class Watcher:
    """Turns changes of a folder into deliveries; what cannot be stored now is kept and tried again.

    Args:
        session: the open registry.
        collection: where to.
        watched: the folder.
        notify: tells of changes.
        apply: looks at what waits; None where the dispatcher of `revector webhook` does.
        on_delivery: told of what was stored.
        on_run: told of what was applied.
    """

    def __init__(
        self,
        session: Session,
        collection: Collection,
        watched: Watched,
        *,
        notify: Notify,
        apply: Apply | None,
        on_delivery: Report,
        on_run: Callable[[ReindexReport], None],
    ) -> None:
        self._session = session
        self._collection = collection
        self._watched = watched
        self._notify = notify
        self._apply = apply
        self._on_delivery = on_delivery
        self._on_run = on_run
        self._waiting: tuple[NamedChange, ...] = ()
        self._unsent: Delivery | None = None
        self._failures = 0
        self._next_try = 0.0

    @property
    def unsaved(self) -> int:
        """How many changes are only in memory."""
        return len(self._waiting) + (len(self._unsent.changes) if self._unsent else 0)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set.

        Raises:
            SourceNotFound: the folder is gone.
            ConfigurationError: it has more folders than the kernel watches.
        """
        while not stop.is_set():
            started = _identity(self._watched.folder)
            try:
                self._watch(stop, started)
            except RevectorError:
                self._store_last()
                raise
            except OSError as error:
                _identity(self._watched.folder)
                raise ConfigurationError(
                    f"{self._watched.folder} cannot be watched ({error}).", advice=LIMIT_ADVICE
                ) from error
            except Exception as error:  # of watchfiles: a name that is no UTF-8 ends its watch
                is_ours = type(error).__module__ != WATCHFILES
                log.warning("watching %s begins anew: %s", self._watched.folder, error, exc_info=is_ours)
                stop.wait(TICK_S)
        self._store_last()

    def _watch(self, stop: threading.Event, started: tuple[int, int]) -> None:
        """Until `stop`, or until another folder has come in the place of this one."""
        is_first = True
        with closing_on_exit(self._notify(self._watched.folder, stop)) as bursts:
            for burst in bursts:
                if _identity(self._watched.folder) != started:
                    return  # nothing of what was reported is meant; the next start looks at everything
                if is_first:  # what happened while nobody watched
                    self._waiting = merge_changes(self._waiting, [self._watched.everything()])
                    is_first = False
                if burst:
                    named = name_changes(burst, self._watched, find_folders=self._find_folders)
                    self._waiting = merge_changes(self._waiting, named)
                self._store()
                self._apply_what_waits(is_burst=bool(burst))

    def _find_folders(self, source: Source, uris: Set[str]) -> Set[str]:
        """Those that documents lie under: folders, or containers, whose end is that of a file."""
        db, source_id = self._session.db, source.id
        assert source_id is not None
        try:
            known = known_documents(db, source_id, documents=documents_named(db, source_id, uris))
            folders = {place for uri in known for place in ancestors(uri)} & uris
            return folders - container_uris(db, source_id) if folders else folders
        except DatabaseUnavailable:
            return uris  # to look at too much does no harm

    def _store(self) -> None:
        """Write what waits in memory down; where the database is away, later."""
        if self._session.timer() < self._next_try:
            return
        while self._unsent or self._waiting:
            if self._unsent is None:
                self._unsent, self._waiting = _delivery(self._waiting), ()
            try:
                accept_delivery(self._session.db, self._collection.id, self._unsent)
            except DatabaseUnavailable as error:
                if not self._failures:
                    log.warning("changes wait in memory: %s", error)
                self._failures += 1
                self._next_try = self._session.timer() + min(2.0 ** min(self._failures, 10), MOST_RETRY_S)
                return
            self._on_delivery(self._unsent.changes)
            self._unsent, self._failures = None, 0

    def _store_last(self) -> None:
        self._next_try = 0.0
        self._store()

    def _apply_what_waits(self, *, is_burst: bool) -> None:
        """Look at what is due; it may be what an earlier run has left for another try."""
        if self._apply is None or self._unsent or (self._failures and not is_burst):
            return
        try:
            due = pending_collections(self._session.db, debounce_s=0, max_wait_s=0)
            if any(one.id == self._collection.id for one in due):
                self._on_run(self._apply())
        except RevectorError as error:  # the events say so too, and are tried again
            log.warning("collection %s: %s", self._collection.name, error)


@contextmanager
def closing_on_exit(bursts: Iterator[Changes]) -> Iterator[Iterator[Changes]]:
    """The bursts; the watch behind them ends with the block."""
    try:
        yield bursts
    finally:
        close = getattr(bursts, "close", None)
        if close is not None:
            close()


def count_waiting(session: Session, collection: Collection) -> int | None:
    """How many events of the collection wait; None where the database does not answer."""
    try:
        return count_pending(session.db, collection.id)
    except RevectorError:
        return None


def _delivery(changes: tuple[NamedChange, ...]) -> Delivery:
    return Delivery(SENDER, str(uuid4()), hashlib.sha256(repr(changes).encode()).digest(), changes)


def _identity(folder: Path) -> tuple[int, int]:
    """Which folder it is: another one may be mounted, or moved, in its place.

    Raises:
        SourceNotFound: it is gone.
    """
    try:
        found = folder.stat()
    except OSError as error:
        raise SourceNotFound(
            f"The watched folder {folder} is gone ({error.strerror}).",
            advice="When it is back, watch it again: that looks at all of it first.",
        ) from error
    return found.st_dev, found.st_ino
