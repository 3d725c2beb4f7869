"""What a file system reports of a folder, as events: where a run has to look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from stat import S_ISDIR

from schemas.event import Action, NamedChange
from schemas.source import Source
from tasks.sources.filesystem import INBOX
from tasks.sources.named import ancestors, uri_name
from tasks.sources.patterns import compile_patterns
from tasks.sources.walk import MAX_URI_CHARACTERS

ADDED, MODIFIED, DELETED = 1, 2, 3
"""As `watchfiles.Change` has them."""

MANY = 5000
"""From so many changes on all is looked at: the kernel may have dropped some, and it is no slower."""

TEMPORARY = (
    "*~", "~$*", ".*.sw?", "4913", ".#*", "#*#", "*___jb_tmp___", "*___jb_old___", ".~lock.*#",
    "~WRL*.tmp", "~WRD*.tmp", "*.crdownload", "*.part", "*.partial",
)  # fmt: skip
"""Names that editors, office programs and downloads use while they write."""

FindFolders = Callable[[Source, Set[str]], Set[str]]
"""Which of some uris that are gone were folders, as far as is known."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A folder that is watched.

    Attributes:
        folder: real path.
        sources: registered; the one that the folder is, or lies in, and those inside the folder.
        home: our data directory; of it only the inbox is ever looked at.
        may_vanish: what is gone may only not be reached: a network mount.
    """

    folder: Path
    sources: Sequence[Source]
    home: Path
    may_vanish: bool = False

    def everything(self) -> NamedChange:
        """Look at all of the folder."""
        found = self.place(self.folder)
        assert found is not None, f"{self.folder} lies in none of its sources"
        return NamedChange(_id(found[0]), found[1], "prefix")

    def place(self, path: Path) -> tuple[Source, str] | None:
        """The innermost source a path lies in and its uri there; None for what can be none of a source's."""
        inside = [source for source in self.sources if path.is_relative_to(source.root_url)]
        if not inside:
            return None
        source = max(inside, key=lambda one: len(one.root_url))
        root = Path(source.root_url)
        if path.is_relative_to(self.home) and not root.is_relative_to(self.home / INBOX):
            return None
        parts = path.relative_to(root).parts
        uri = "/".join(uri_name(part) for part in parts)
        return None if len(uri) > MAX_URI_CHARACTERS else (source, uri)


@dataclass(slots=True)
class _Noticed:
    """The changes of one source: uri -> the kinds reported of it."""

    source: Source
    kinds: dict[str, set[int]] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)


def name_changes(
    changes: Collection[tuple[int, str]], watched: Watched, *, find_folders: FindFolders
) -> tuple[NamedChange, ...]:
    """What a burst of reported changes names: each document once, in order; nothing of what is excluded.

    What is on the disk now decides, not what was reported first. A folder that came or went is named as
    a folder: what lies in a new one may have been written before it was watched. A file that is gone is
    always named, even if it came and went in the same burst: a run may have seen it in between.

    Args:
        changes: (kind, path), as watchfiles reports them.
        watched: the folder.
        find_folders: asked of what is gone and had nothing reported below it.
    """
    if len(changes) >= MANY:
        return (watched.everything(),)
    may_vanish = watched.may_vanish or _is_empty(watched.folder)
    named: list[NamedChange] = []
    for noticed in _sort_by_source(changes, watched):
        actions = _actions(noticed, find_folders, may_vanish=may_vanish)
        folders = {uri for uri, action in actions.items() if action == "prefix"}
        source_id = _id(noticed.source)
        named += [
            NamedChange(source_id, uri, action)
            for uri, action in sorted(actions.items())
            if not uri or folders.isdisjoint(("", *ancestors(uri)))
        ]
    return tuple(named)


def merge_changes(earlier: Iterable[NamedChange], later: Iterable[NamedChange]) -> tuple[NamedChange, ...]:
    """Changes of two bursts as one: of a uri the later action, but a folder stays one."""
    merged: dict[tuple[int, str], NamedChange] = {}
    for change in (*earlier, *later):
        key = (change.source_id, change.uri)
        if key not in merged or merged[key].action != "prefix":
            merged[key] = change
    return tuple(merged.values())


def _sort_by_source(changes: Iterable[tuple[int, str]], watched: Watched) -> Iterable[_Noticed]:
    found: dict[str, _Noticed] = {}
    for kind, path in sorted(changes, key=lambda change: change[1]):
        if Path(path) == watched.folder or (place := watched.place(Path(path))) is None:
            continue  # what becomes of the folder itself is for whoever watches it
        source, uri = place
        noticed = found.setdefault(source.root_url, _Noticed(source))
        noticed.kinds.setdefault(uri, set()).add(kind)
        noticed.paths.setdefault(uri, path)
    return found.values()


def _actions(noticed: _Noticed, find_folders: FindFolders, *, may_vanish: bool) -> dict[str, Action]:
    skip = compile_patterns((*noticed.source.exclude, *TEMPORARY))
    take = compile_patterns(noticed.source.include)
    above = {folder for uri in noticed.kinds for folder in ancestors(uri)}
    there = {uri: _look(noticed.paths[uri]) for uri in noticed.kinds if not (skip and _is_skipped(uri, skip))}
    gone = {uri for uri, what in there.items() if what == "gone"}
    folders = {uri for uri in gone if not uri or uri in above}
    folders |= find_folders(noticed.source, gone - folders) if gone - folders else set()
    actions: dict[str, Action] = {}
    for uri, what in there.items():
        if what == "folder":
            if noticed.kinds[uri] != {MODIFIED}:  # a time: what is new in it is reported by itself
                actions[uri] = "prefix"
        elif uri in folders:
            actions[uri] = "prefix"
        elif not take or take(PurePosixPath(uri).name, uri):
            actions[uri] = "deleted" if what == "gone" and not may_vanish else "changed"
    return actions


def _look(path: str) -> str:
    """file, folder or gone; a link is what it leads to."""
    try:
        return "folder" if S_ISDIR(Path(path).stat().st_mode) else "file"
    except FileNotFoundError:
        return "file" if Path(path).is_symlink() else "gone"
    except NotADirectoryError:
        return "gone"
    except OSError:
        return "file"


def _is_empty(folder: Path) -> bool:
    """Whether it holds nothing, or cannot be read: then nobody knows what the end of a file in it means."""
    try:
        return next(folder.iterdir(), None) is None
    except OSError:
        return True


def _is_skipped(uri: str, skip: Callable[[str, str], bool]) -> bool:
    """Whether the uri is excluded, or a folder it lies in."""
    return any(skip(PurePosixPath(place).name, place) for place in (uri, *ancestors(uri)))


def _id(source: Source) -> int:
    assert source.id is not None, f"source {source.name} is not registered"
    return source.id
