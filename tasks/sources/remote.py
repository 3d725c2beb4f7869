"""A folder behind an fsspec URL (``s3://bucket/prefix``, ``memory://``, ``sftp://`` ...)."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO
from unicodedata import normalize

from schemas.errors import FetchFailed, RevectorError, SourceNotFound
from schemas.source import Listing, ListingProblem, Scope, Source, Stat
from tasks.sources.filesystem import MAX_URI_CHARACTERS
from tasks.sources.patterns import compile_patterns

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


class RemoteFolder:
    """Lists by one `find` call; an item's ETag (or what the store has like it) is its stat."""

    def __init__(self, source: Source) -> None:
        import fsspec

        self._url = source.root_url
        self._skip = compile_patterns(source.exclude)
        self._take = compile_patterns(source.include)
        try:
            self._fs, self._root = fsspec.core.url_to_fs(source.root_url)
        except Exception as exc:  # each protocol has errors of its own
            raise SourceNotFound(
                f"{source.root_url} cannot be opened ({exc}).",
                advice="Install what the protocol needs, for example `pip install 'revector[s3]'`.",
            ) from exc
        self._root = self._root.rstrip("/")

    def require_exists(self) -> None:
        """Raise SourceNotFound where nothing lies under the URL."""
        try:
            exists = self._fs.exists(self._root)
        except Exception as exc:  # each protocol has errors of its own
            raise self._unreadable(exc) from exc
        if not exists:
            raise SourceNotFound(f"There is nothing at {self._url}.", advice="Check the URL.")

    def list(self, scope: Scope) -> Listing:
        """All items of the scope.

        Raises:
            SourceNotFound: the store cannot be listed; nothing is taken as deleted.
        """
        base = f"{self._root}/{scope.path or scope.prefix}".rstrip("/")
        try:
            self._fs.invalidate_cache()
            found = self._fs.find(base, detail=True)
        except Exception as exc:
            raise self._unreadable(exc) from exc
        items: dict[str, Stat] = {}
        paths: dict[str, str] = {}
        problems: list[ListingProblem] = []
        for path, info in found.items():
            spelled = path[len(self._root) :].lstrip("/")
            uri = normalize("NFC", spelled)
            if not uri or self._excluded(uri):
                continue
            if len(uri) > MAX_URI_CHARACTERS:
                problems.append(ListingProblem(f"{uri[:200]}...", "the path is too long; move it up"))
                continue
            items[uri] = _stat(info)
            if spelled != uri:
                paths[uri] = spelled
        return Listing(items, paths, tuple(problems))

    def resolve_names(self, names: Set[str]) -> frozenset[str]:
        """What has to be looked at for these uris: themselves."""
        return frozenset(names)

    def is_empty_root(self) -> bool:
        """No: a store that answers says what it has."""
        return False

    @contextmanager
    def open(self, uri: str, path: str) -> Iterator[tuple[BinaryIO, Stat]]:
        """The item's bytes and its stat at opening.

        Raises:
            FetchFailed: it cannot be read.
        """
        full = f"{self._root}/{path}"
        try:
            stat = _stat(self._fs.info(full))
            with self._fs.open(full, "rb") as stream:
                yield stream, stat
        except RevectorError:
            raise
        except Exception as exc:
            raise FetchFailed(f"{uri} cannot be read ({exc}).", advice="Run again.") from exc

    def has_changed(self, path: str, stat: Stat) -> bool:
        """Whether the item is no longer the one that was opened."""
        try:
            return _stat(self._fs.info(f"{self._root}/{path}")) != stat
        except Exception:  # gone or unreachable: not the item any more
            return True

    def _excluded(self, uri: str) -> bool:
        parts = uri.split("/")
        if self._skip and any(self._skip(part, "/".join(parts[: i + 1])) for i, part in enumerate(parts)):
            return True
        return bool(self._take) and not self._take(parts[-1], uri)  # type: ignore[misc]

    def _unreadable(self, exc: Exception) -> SourceNotFound:
        return SourceNotFound(
            f"{self._url} cannot be listed ({type(exc).__name__}: {exc}).",
            advice="Check the URL, the credentials and the network.",
        )


def _stat(info: dict[str, Any]) -> Stat:
    mark = next((info[key] for key in _ETAG_KEYS if info.get(key)), "")
    if isinstance(mark, datetime):  # a listing and a single look-up may spell one time two ways
        mark = mark.timestamp()
    return Stat(int(info.get("size") or 0), etag=f"{mark:.6f}" if isinstance(mark, float) else str(mark))
