"""A local folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO
from unicodedata import is_normalized, normalize

from schemas.errors import FetchFailed, SourceNotFound
from schemas.source import Listing, ListingProblem, Scope, Source, Stat
from tasks.sources.patterns import Match, compile_patterns

_INODE_MASK = (1 << 63) - 1
_name = attrgetter("name")

LINK_ADVICE = "set follow_links = true for the collection if it is meant"

MAX_URI_CHARACTERS = 600
"""Of at most 4 bytes each: PostgreSQL indexes no more than 2,704 bytes."""


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
        walk = _Walk(self._root, self._skip, self._take, self._home, follow_links=self._follow_links)
        spelled = scope.path or scope.prefix
        start = self._root / spelled
        if self._home and start.is_relative_to(self._home):
            raise SourceNotFound(
                f"{start} lies inside the data directory {self._home}.",
                advice="Ingest a folder of documents, or set REVECTOR_HOME elsewhere.",
            )
        if spelled and not start.is_dir():
            walk.add_file(start, scope.prefix, spelled)
        else:
            try:
                walk.folder(str(start), spelled and spelled + "/", scope.prefix and scope.prefix + "/")
            except OSError as exc:
                raise SourceNotFound(
                    f"The folder {start} cannot be read ({exc.strerror}).",
                    advice="Check that it is there and mounted, and that this user may read it.",
                ) from exc
        return Listing(walk.items, walk.paths, tuple(walk.problems))

    def resolve_names(self, names: Set[str]) -> frozenset[str]:
        """What has to be looked at for these uris."""
        raise NotImplementedError

    def is_empty_root(self) -> bool:
        """Whether the root is there and holds nothing at all."""
        raise NotImplementedError

    @contextmanager
    def open(self, uri: str, path: str) -> Iterator[tuple[BinaryIO, Stat]]:
        """The file's bytes and its stat at opening.

        Raises:
            FetchFailed: it cannot be read, or is gone.
        """
        try:
            if not self._follow_links and not _is_inside(self._root / path, self._root):
                raise FetchFailed(f"{uri} is a link that leads out of the source.", advice=LINK_ADVICE)
            # never block on a fifo that took the file's place
            descriptor = os.open(self._root / path, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as stream:
                found = os.fstat(descriptor)
                if not S_ISREG(found.st_mode):
                    raise FetchFailed(f"{uri} is no longer a regular file.")
                yield stream, _stat(found)
        except OSError as exc:
            raise _failed(uri, exc) from exc

    def has_changed(self, path: str, stat: Stat) -> bool:
        """Whether the file under that path is no longer the one that was opened."""
        try:
            return _stat((self._root / path).stat()) != stat
        except OSError:
            return True


class _Walk:
    def __init__(
        self, root: Path, skip: Match | None, take: Match | None, home: Path | None, *, follow_links: bool
    ) -> None:
        self._root = root
        self._follow_links = follow_links
        self._home = str(home) if home else None
        self._skip = skip
        self._take = take
        self._links: set[tuple[int, int]] = set()
        self.items: dict[str, Stat] = {}
        self.paths: dict[str, str] = {}
        self.problems: list[ListingProblem] = []

    def folder(self, path: str, spelled: str, uri_prefix: str) -> None:
        """List a folder and all below it; only the first folder's own error is raised."""
        pending = [(path, spelled, uri_prefix)]
        first = True
        while pending:
            path, spelled, uri_prefix = pending.pop()
            try:
                with os.scandir(path) as entries:
                    # in order, so that of two names that are one in NFC the same wins everywhere
                    found = sorted(entries, key=_name)
            except OSError as exc:
                if first:
                    raise
                self._problem(uri_prefix.rstrip("/"), exc.strerror or str(exc))
                continue
            first = False
            pending.extend(self._entries(found, spelled, uri_prefix))

    def _entries(
        self, entries: list[os.DirEntry[str]], spelled: str, prefix: str
    ) -> Iterator[tuple[str, str, str]]:
        items, skip, take = self.items, self._skip, self._take
        for entry in entries:
            name = entry.name
            uri = prefix + name
            if not uri.isascii() and (uri := self._unicode(uri)) == "":
                continue
            if len(uri) > MAX_URI_CHARACTERS:
                self._problem(f"{uri[:200]}...", "the path is too long; move it up")
                continue
            if skip and skip(name, uri):
                continue
            try:
                if entry.is_symlink() and not self._may_follow(Path(entry.path), uri):
                    continue
                if entry.is_dir():
                    if self._enter(entry, uri):
                        yield entry.path, f"{spelled}{name}/", f"{uri}/"
                    continue
                if take and not take(name, uri):
                    continue
                found = entry.stat()
            except OSError as exc:
                self._problem(uri, exc.strerror or str(exc))
                continue
            if not S_ISREG(found.st_mode):
                self._problem(uri, "not a regular file")
            elif uri in items:
                shown = ascii(name)[1:-1]
                self._problem(f"{uri} ({shown})", "another file has this name once Unicode is normalised")
            else:
                items[uri] = Stat(
                    found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & _INODE_MASK
                )
                if (path := spelled + name) != uri:
                    self.paths[uri] = path

    def add_file(self, path: Path, uri: str, spelled: str) -> None:
        """List a single file."""
        found = path.stat()
        if not S_ISREG(found.st_mode):
            self._problem(uri, "not a regular file")
            return
        self.items[uri] = _stat(found)
        if spelled != uri:
            self.paths[uri] = spelled

    def _enter(self, entry: os.DirEntry[str], uri: str) -> bool:
        if entry.path == self._home:
            return False
        if not entry.is_symlink():
            return True
        target = Path(entry.path).resolve()
        if target == self._root or target.is_relative_to(self._root) or self._root.is_relative_to(target):
            self._problem(uri, "a link to a folder of the same source is not followed")
            return False
        found = entry.stat()
        key = (found.st_dev, found.st_ino)
        if key in self._links:
            self._problem(uri, "a second link to the same folder is not followed")
            return False
        self._links.add(key)
        return True

    def _may_follow(self, link: Path, uri: str) -> bool:
        if self._follow_links or _is_inside(link, self._root):
            return True
        self._problem(uri, f"a link that leads out of the source is not followed; {LINK_ADVICE}")
        return False

    def _unicode(self, uri: str) -> str:
        try:
            uri.encode()
        except UnicodeEncodeError:
            shown = uri.encode("utf-8", "backslashreplace").decode()
            self._problem(shown, "the file name is not valid UTF-8; rename it")
            return ""
        return uri if is_normalized("NFC", uri) else normalize("NFC", uri)

    def _problem(self, uri: str, message: str) -> None:
        self.problems.append(ListingProblem(uri, message))


def _is_inside(path: Path, root: Path) -> bool:
    """Whether what the path leads to, links resolved, lies in the source."""
    return Path(os.path.realpath(path)).is_relative_to(root)


def _stat(found: os.stat_result) -> Stat:
    return Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & _INODE_MASK)


def _failed(uri: str, exc: OSError) -> FetchFailed:
    if isinstance(exc, FileNotFoundError):
        return FetchFailed(f"{uri} vanished after it was listed.", advice="The next run retires it.")
    if isinstance(exc, PermissionError):
        return FetchFailed(f"{uri} may not be read.", advice="Give this user the right to read it.")
    return FetchFailed(f"{uri} cannot be read ({exc.strerror or exc}).", advice="Run again.")
