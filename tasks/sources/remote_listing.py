"""From what a store lists to items: names that can be files, their stats, and what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import product
from typing import Any
from unicodedata import normalize

from schemas.source import Listing, ListingProblem, Stat
from tasks.sources.filesystem import MAX_URI_CHARACTERS
from tasks.sources.patterns import Match

MAX_MIXED = 3
"""Parts of a name whose forms are tried in all combinations: 8 look-ups."""

_ETAG_KEYS = (
    "ETag",
    "etag",
    "md5",
    "md5Hash",
    "checksum",
    "LastModified",
    "last_modified",
    "mtime",
    "created",
)


class RemoteListing:
    """Gathers what a store lists; keys are full paths below the root.

    Args:
        root: the source's root as the store spells it, without a slash at its end.
        skip: names and uris to leave out.
        take: of the others, those to take; None is all.
    """

    def __init__(self, root: str, skip: Match | None, take: Match | None) -> None:
        self._start = root + "/"
        self._skip = skip
        self._take = take
        self._found: dict[str, Mapping[str, Any]] = {}
        self._problems: list[ListingProblem] = []

    def add(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        """Take in entries of the store; what is not below the root does not belong to the source."""
        start, end = self._start, len(self._start)
        for key, info in found.items():
            if key.startswith(start) and info.get("type") != "directory":
                self._found[key[end:]] = info

    def refuse(self, uri: str, message: str) -> None:
        """What cannot be looked at; nothing there is taken as deleted."""
        self._problems.append(ListingProblem(uri, message))

    def finish(self) -> Listing:
        """The listing. Of two names that are one in NFC the first in order wins, whatever came first."""
        items: dict[str, Stat] = {}
        paths: dict[str, str] = {}
        for spelled in sorted(self._found):
            info = self._found[spelled]
            uri = uri_of(spelled)
            if _is_marker(spelled, info) or not uri or self._is_excluded(uri):
                continue
            if fault := fault_of(uri):
                self.refuse(_shown(uri), fault)
            elif uri in items:
                shown = ascii(spelled)[1:-1]
                self.refuse(f"{uri} ({shown})", "another file has this name once Unicode is normalised")
            else:
                items[uri] = stat_of(info)
                if spelled != uri:
                    paths[uri] = spelled
        return Listing(items, paths, tuple(self._problems))

    def _is_excluded(self, uri: str) -> bool:
        parts = uri.split("/")
        if self._skip and any(self._skip(part, "/".join(parts[: i + 1])) for i, part in enumerate(parts)):
            return True
        return self._take is not None and not self._take(parts[-1], uri)


def uri_of(spelled: str) -> str:
    """The uri of a path as the store spells it."""
    return spelled if spelled.isascii() else normalize("NFC", spelled)


def spellings(uri: str) -> list[str]:
    """How a store may spell a uri, each part in NFC or NFD; of many such parts, all one way or the other.

    >>> len(spellings("보고서/실적.txt")), spellings("a/b.txt")
    (4, ['a/b.txt'])
    """
    forms = [dict.fromkeys((part, normalize("NFD", part))) for part in uri.split("/")]
    if sum(len(both) > 1 for both in forms) > MAX_MIXED:
        return [uri, normalize("NFD", uri)]
    return ["/".join(parts) for parts in product(*forms)]


def fault_of(uri: str) -> str:
    """Why no file can have this name; "" where one can.

    >>> fault_of("a/b.txt"), fault_of("a//b.txt") == fault_of("../b.txt") != ""
    ('', True)
    """
    if len(uri) > MAX_URI_CHARACTERS:
        return "the path is too long; move it up"
    if "\0" in uri or any("\ud800" <= char <= "\udfff" for char in uri):
        return "the name has characters that no text can hold; rename it"
    if any(part in ("", ".", "..") for part in uri.split("/")):
        return "a name with an empty part, '.' or '..' is no path; rename it"
    if "?versionId=" in uri:
        return "fsspec would read '?versionId=' as a version of another object; rename it"
    return ""


def stat_of(info: Mapping[str, Any]) -> Stat:
    """Size and ETag, or what the store has like one."""
    mark = next((info[key] for key in _ETAG_KEYS if info.get(key)), "")
    if isinstance(mark, datetime):  # a listing and a single look-up may spell one time two ways
        mark = mark.timestamp()
    return Stat(int(info.get("size") or 0), etag=f"{mark:.6f}" if isinstance(mark, float) else str(mark))


def drop_covered(names: Iterable[str]) -> list[str]:
    """Names without those that lie below another, sorted.

    >>> drop_covered(["b/c", "a", "a/b", "ab"])
    ['a', 'ab', 'b/c']
    """
    chosen = set(names)
    return sorted(name for name in chosen if not any(folder in chosen for folder in folders_of(name)))


def folders_of(uri: str) -> list[str]:
    """The folders above a uri, the nearest last.

    >>> folders_of("a/b/c.txt")
    ['a', 'a/b']
    """
    return [uri[:i] for i, char in enumerate(uri) if char == "/"]


def _is_marker(spelled: str, info: Mapping[str, Any]) -> bool:
    """Whether it is what consoles make to show an empty folder."""
    return spelled.endswith("/") and not info.get("size")


def _shown(uri: str) -> str:
    if len(uri) > MAX_URI_CHARACTERS:
        return f"{uri[:200]}..."
    return uri.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
