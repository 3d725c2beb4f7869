"""A local folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from schemas.errors import FetchFailed, SourceNotFound
from schemas.source import Listing, Scope, Source, Stat
from tasks.sources.named import (
    add_containers,
    ancestors,
    folder_tree,
    name_tree,
    names_of_folder,
    restrict,
    uri_name,
)
from tasks.sources.patterns import compile_patterns
from tasks.sources.walk import LINK_ADVICE, Walk, is_inside, stat_of
from tasks.sources.walk import MAX_URI_CHARACTERS as MAX_URI_CHARACTERS

INBOX = "inbox"
"""The folder of our data directory that uploads lie in: the only one there that may be a source."""


class LocalFolder:
    """Walks a folder with scandir; one stat call a file, no byte read.

    Links to files of the source are followed; links to its folders are not: what they point to
    is listed anyway, so loops cannot arise. Links that lead out of the source are followed only
    with `follow_links`: else whoever may write to the source could have any file indexed.
    """

    def __init__(self, source: Source, *, home: Path | None = None, follow_links: bool = False) -> None:
        self._root = Path(source.root_url)
        self._follow_links = follow_links
        self._home = home
        self._skip = compile_patterns(source.exclude)
        self._take = compile_patterns(source.include)

    def list(self, scope: Scope) -> Listing:
        """All files of the scope, with those that could not be looked at as problems.

        Raises:
            SourceNotFound: the source's root is gone, cannot be read, or is our own data.
        """
        spelled = scope.path or scope.prefix
        start = self._root / spelled
        self._refuse_home(start)
        walk = self._walk()
        if spelled and not start.is_dir():
            walk.add_file(start, scope.prefix, spelled)
            return walk.listing()
        tree = None if scope.names is None else name_tree(scope.names)
        try:
            walk.folder(str(start), spelled and spelled + "/", scope.prefix and scope.prefix + "/", tree)
        except OSError as exc:
            raise _unreadable(start, exc) from exc
        if tree is not None and walk.met_outside_link:
            # which of several links to one folder is followed only a walk of everything can tell
            return restrict(self.list(Scope(scope.source)), scope)
        return walk.listing()

    def resolve_names(self, names: Set[str]) -> frozenset[str]:
        """What has to be looked at for these uris: one that goes through a file is that file.

        It may be an archive, and those are looked at as a whole.

        Raises:
            SourceNotFound: as `list`.
        """
        above = {folder for name in names for folder in ancestors(name)}
        if not above:
            return frozenset(names)
        self._refuse_home(self._root)
        walk = self._walk()
        try:
            walk.folder(str(self._root), "", "", folder_tree(above))
        except OSError as exc:
            raise _unreadable(self._root, exc) from exc
        return add_containers(names, walk.items)

    def names_in(self, folder: str) -> frozenset[str]:
        """Uris of all that lies directly in a folder; none where it cannot be read, or is none."""
        return frozenset(names_of_folder(self._root, folder))

    def emptied_folders(self, uris: Collection[str]) -> frozenset[str]:
        """Folders below the root that are there and empty, of those that uris which are gone lay in."""
        nearest = {self._nearest_folder(uri) for uri in uris}
        return frozenset(folder for folder in nearest if folder and self._is_empty(folder))

    def _nearest_folder(self, uri: str) -> str:
        return next((folder for folder in ancestors(uri) if (self._root / folder).is_dir()), "")

    def _is_empty(self, folder: str) -> bool:
        try:
            with os.scandir(self._root / folder) as entries:
                return next(entries, None) is None
        except OSError:
            return True

    def is_empty_root(self) -> bool:
        """Whether the root holds nothing but what is excluded: probably a disk that is not mounted.

        Raises:
            SourceNotFound: it is gone or cannot be read.
        """
        try:
            with os.scandir(self._root) as entries:
                names = [uri_name(entry.name) for entry in entries]
        except OSError as exc:
            raise _unreadable(self._root, exc) from exc
        return all(self._skip and self._skip(name, name) for name in names)

    def _walk(self) -> Walk:
        return Walk(self._root, self._skip, self._take, self._home, follow_links=self._follow_links)

    def _refuse_home(self, start: Path) -> None:
        if self._home and start.is_relative_to(self._home):
            if self._root.is_relative_to(self._home / INBOX):
                return
            raise SourceNotFound(
                f"{start} lies inside the data directory {self._home}.",
                advice="Ingest a folder of documents, or set REVECTOR_HOME elsewhere.",
            )

    @contextmanager
    def open(self, uri: str, path: str) -> Iterator[tuple[BinaryIO, Stat]]:
        """The file's bytes and its stat at opening.

        Raises:
            FetchFailed: it cannot be read, or is gone.
        """
        try:
            if not self._follow_links and not is_inside(self._root / path, self._root):
                raise FetchFailed(f"{uri} is a link that leads out of the source.", advice=LINK_ADVICE)
            # never block on a fifo that took the file's place
            descriptor = os.open(self._root / path, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as stream:
                found = os.fstat(descriptor)
                if not S_ISREG(found.st_mode):
                    raise FetchFailed(f"{uri} is no longer a regular file.")
                yield stream, stat_of(found)
        except OSError as exc:
            raise _failed(uri, exc) from exc

    def has_changed(self, path: str, stat: Stat) -> bool:
        """Whether the file under that path is no longer the one that was opened."""
        try:
            return stat_of((self._root / path).stat()) != stat
        except OSError:
            return True


def _unreadable(start: Path, exc: OSError) -> SourceNotFound:
    return SourceNotFound(
        f"The folder {start} cannot be read ({exc.strerror}).",
        advice="Check that it is there and mounted, and that this user may read it.",
    )


def _failed(uri: str, exc: OSError) -> FetchFailed:
    if isinstance(exc, FileNotFoundError):
        return FetchFailed(f"{uri} vanished after it was listed.", advice="The next run retires it.")
    if isinstance(exc, PermissionError):
        return FetchFailed(f"{uri} may not be read.", advice="Give this user the right to read it.")
    return FetchFailed(f"{uri} cannot be read ({exc.strerror or exc}).", advice="Run again.")
