"""Files inside archives and mails, listed and opened like any other.

A member's uri goes on behind its container's as in a folder (``mail.eml/report.pdf``). Its path,
as the source spells it, is the container's path, a NUL, and its name inside: no file has that.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from schemas.container import MEMBER_ETAG, Member, Unpacked
from schemas.errors import ContainerRefused, DocumentError, FetchFailed
from schemas.source import Listing, Scope, Stat
from tasks.parsing.jobs import UnpackJob
from tasks.parsing.limits import UnpackLimits
from tasks.parsing.worker import ParserPool, Request
from tasks.sources.base import Lister
from tasks.sources.scratch import Scratch

SEPARATOR = "\0"
KEPT_CONTAINERS = 8
"""Kept unpacked, each of at most `limits.unpack_mb`. Members are worked on in order of their uris."""


def member_path(container_path: str, name: str) -> str:
    """How the source spells a member."""
    return container_path + SEPARATOR + name


def member_hash(stat: Stat) -> bytes | None:
    """The content's hash that a member's stat holds, None for any other file's."""
    return bytes.fromhex(stat.etag.removeprefix(MEMBER_ETAG)) if stat.etag.startswith(MEMBER_ETAG) else None


@dataclass(frozen=True, slots=True)
class _Kept:
    stat: Stat
    folder: Path
    inside: Unpacked
    numbers: dict[str, int]


class MemberLister:
    """A lister that can open what is inside containers as well. For several threads.

    Args:
        lister: of the files themselves.
        folder: below it unpacked files lie until `close`; made at first use.
        pool: gives the processes that unpack.
        limits: for one container.
    """

    def __init__(
        self, lister: Lister, folder: Path, *, pool: Callable[[], ParserPool], limits: UnpackLimits
    ) -> None:
        self._lister = lister
        self._folder = folder
        self._pool = pool
        self._limits = limits
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._unpacking: dict[str, threading.Lock] = {}
        self._scratch: Scratch | None = None

    def list(self, scope: Scope) -> Listing:
        """What is there now, containers closed."""
        return self._lister.list(scope)

    def resolve_names(self, names: Set[str]) -> frozenset[str]:
        """What has to be looked at for these uris."""
        return self._lister.resolve_names(names)

    def names_in(self, folder: str) -> frozenset[str]:
        """Uris of all that lies directly in a folder, whether it would be listed or not."""
        return self._lister.names_in(folder)

    def emptied_folders(self, uris: Collection[str]) -> frozenset[str]:
        """Folders that are there and empty, of those that uris which are gone lay in."""
        return self._lister.emptied_folders(uris)

    def is_empty_root(self) -> bool:
        """Whether the source's root is there and holds nothing at all."""
        return self._lister.is_empty_root()

    @contextmanager
    def open(self, uri: str, path: str) -> Iterator[tuple[BinaryIO, Stat]]:
        """The item's bytes and its stat at opening; raises FetchFailed."""
        container_path, separator, name = path.partition(SEPARATOR)
        if not separator:
            with self._lister.open(uri, path) as opened:
                yield opened
            return
        stream, member = self._open_member(uri.removesuffix("/" + name), container_path, name)
        with stream:
            yield stream, member.stat

    def has_changed(self, path: str, stat: Stat) -> bool:
        """Whether the item is no longer the one that was opened; a member's stat is its content."""
        return SEPARATOR not in path and self._lister.has_changed(path, stat)

    def look_inside(self, uri: str, path: str) -> tuple[Unpacked, Stat]:
        """What a container holds, and its stat when it was read.

        Raises:
            DocumentError: it cannot be read or opened, or is over a limit.
        """
        kept = self._unpack(uri, path)
        return kept.inside, kept.stat

    def close(self) -> None:
        """Delete what was unpacked."""
        with self._lock:
            self._kept.clear()
            if self._scratch is not None:
                self._scratch.close()
                self._scratch = None

    def _own_folder(self) -> Path:
        with self._lock:
            if self._scratch is None:
                self._scratch = Scratch(self._folder)
            return self._scratch.folder

    def _open_member(self, uri: str, path: str, name: str) -> tuple[BinaryIO, Member]:
        for _ in range(3):  # it may be dropped for others before it is open
            kept = self._find(path) or self._unpack(uri, path)
            if name not in kept.numbers:
                break
            number = kept.numbers[name]
            try:
                return (kept.folder / str(number)).open("rb"), kept.inside.members[number]
            except FileNotFoundError:
                continue
        raise FetchFailed(f"{uri} does not hold {name} any more.", advice="The next run looks into it again.")

    def _find(self, path: str) -> _Kept | None:
        with self._lock:
            if path in self._kept:
                self._kept.move_to_end(path)
                return self._kept[path]
        return None

    def _unpack(self, uri: str, path: str) -> _Kept:
        with self._lock:
            lock = self._unpacking.setdefault(path, threading.Lock())
        with lock:
            kept = self._find(path)
            if kept is not None and not self._lister.has_changed(path, kept.stat):
                return kept
            fresh = self._unpack_anew(uri, path)
            with self._lock:
                self._keep(path, fresh)
            return fresh

    def _keep(self, path: str, fresh: _Kept) -> None:
        if (old := self._kept.pop(path, None)) is not None:
            shutil.rmtree(old.folder, ignore_errors=True)
        self._kept[path] = fresh
        while len(self._kept) > KEPT_CONTAINERS:
            _, oldest = self._kept.popitem(last=False)
            shutil.rmtree(oldest.folder, ignore_errors=True)

    def _check_size(self, stat: Stat) -> None:
        if stat.size > self._limits.total_bytes:
            raise ContainerRefused(
                f"It has {stat.size >> 20:,} MB, more than limits.unpack_mb.",
                advice="Unpack it into the source, or raise the limit in revector.toml.",
            )

    def _unpack_anew(self, uri: str, path: str) -> _Kept:
        folder = Path(tempfile.mkdtemp(dir=self._own_folder()))
        try:
            copy = folder / "container"
            with self._lister.open(uri, path) as (stream, stat):
                self._check_size(stat)
                with copy.open("wb") as out:
                    shutil.copyfileobj(stream, out, 1 << 20)
            asked = self._pool().submit(Request(copy, uri, UnpackJob(folder, self._limits)))
            inside = asked.result()
            if isinstance(inside, DocumentError):
                raise inside
            assert isinstance(inside, Unpacked)
            copy.unlink()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        names = {member.name: number for number, member in enumerate(inside.members)}
        return _Kept(stat, folder, inside, names)
