"""A walk over a local folder, or over what is named in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from stat import S_ISREG
from unicodedata import is_normalized, normalize

from schemas.source import Listing, ListingProblem, Stat
from tasks.sources.named import NameTree, uri_name
from tasks.sources.patterns import Match

_INODE_MASK = (1 << 63) - 1
_name = attrgetter("name")

LINK_ADVICE = "set follow_links = true for the collection if it is meant"

MAX_URI_CHARACTERS = 600
"""Of at most 4 bytes each: PostgreSQL indexes no more than 2,704 bytes."""


class Walk:
    """One walk of a folder; what it finds gathers in it."""

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

    @property
    def met_outside_link(self) -> bool:
        """Whether a link to a folder outside the source was followed."""
        return bool(self._links)

    def listing(self) -> Listing:
        """What was found."""
        return Listing(self.items, self.paths, tuple(self.problems))

    def folder(self, path: str, spelled: str, uri_prefix: str, tree: NameTree | None = None) -> None:
        """List a folder and all below it, or of it what is named; only its own error is raised."""
        pending = [(path, spelled, uri_prefix, tree)]
        first = True
        while pending:
            path, spelled, uri_prefix, tree = pending.pop()
            try:
                with os.scandir(path) as entries:
                    # by the names of the disk: a look-up would not tell other spellings or letter case
                    named = entries if tree is None else (e for e in entries if uri_name(e.name) in tree)
                    # in order, so that of two names that are one in NFC the same wins everywhere
                    found = sorted(named, key=_name)
            except OSError as exc:
                if first:
                    raise
                self._problem(uri_prefix.rstrip("/"), exc.strerror or str(exc))
                continue
            first = False
            pending.extend(self._entries(found, spelled, uri_prefix, tree))

    def _entries(
        self, entries: list[os.DirEntry[str]], spelled: str, prefix: str, tree: NameTree | None
    ) -> Iterator[tuple[str, str, str, NameTree | None]]:
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
                        below = None if tree is None else tree[uri[len(prefix) :]]
                        yield entry.path, f"{spelled}{name}/", f"{uri}/", below
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
        self.items[uri] = stat_of(found)
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
        if self._follow_links or is_inside(link, self._root):
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


def is_inside(path: Path, root: Path) -> bool:
    """Whether what the path leads to, links resolved, lies in the source."""
    return Path(os.path.realpath(path)).is_relative_to(root)


def stat_of(found: os.stat_result) -> Stat:
    """What a listing says of a file."""
    return Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino & _INODE_MASK)
