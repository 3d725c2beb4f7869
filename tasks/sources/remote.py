"""A folder behind an fsspec URL (``s3://bucket/prefix``, ``memory://``, ``sftp://`` ...)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, BinaryIO, TypeVar
from unicodedata import normalize

from schemas.errors import FetchFailed, RevectorError, SourceNotFound
from schemas.source import Listing, Scope, Source, Stat
from tasks.sources.patterns import compile_patterns
from tasks.sources.remote_errors import failure, hide_password, try_often
from tasks.sources.remote_listing import (
    RemoteListing,
    drop_covered,
    fault_of,
    folders_of,
    spellings,
    stat_of,
    uri_of,
)

T = TypeVar("T")

LOOKUPS = 16
"""Names that are looked up at the same time; botocore keeps ten connections, the rest wait for one."""

REFUSED = "it may not be looked at; give these credentials the right to list and to read it"


class RemoteFolder:
    """Lists by one `find` call; an item's ETag (or what the store has like it) is its stat.

    A key is a file's path below the root. The store's answer counts, never one that fsspec remembers,
    and a store that fails to answer raises: what it could not say is not taken as deleted.
    """

    def __init__(self, source: Source) -> None:
        import fsspec

        self._shown = hide_password(source.root_url)
        self._skip = compile_patterns(source.exclude)
        self._take = compile_patterns(source.include)
        try:
            # an instance of our own: another's may hold old listings, or credentials changed since
            self._fs, root = fsspec.core.url_to_fs(source.root_url, skip_instance_cache=True)
        except Exception as exc:  # each protocol has errors of its own
            raise SourceNotFound(
                f"{self._shown} cannot be opened ({exc}).",
                advice="Install what the protocol needs, for example `pip install 'revector[s3]'`.",
            ) from exc
        if hasattr(self._fs, "dircache"):
            self._fs.dircache.use_listings_cache = False
        self._root = root.rstrip("/")
        self._walks = _walks(self._fs)

    def locate(self) -> str:
        """The name of the file that the root turns out to be; "" for a folder.

        Raises:
            SourceNotFound: nothing lies there.
            SourceUnavailable: the store does not answer.
        """
        info = self._ask(lambda: self._fs.info(self._root))
        if info.get("type") != "file" or self._fs.isdir(self._root):  # a web page is both
            return ""
        return str(self._root.rpartition("/")[2])

    def list(self, scope: Scope) -> Listing:
        """All items of the scope; of one that is not the whole source, only what it names is asked for.

        Raises:
            SourceNotFound: there is no such bucket, or no right to list it.
            SourceUnavailable: the store fails again and again.
        """
        names = scope.names if scope.names is not None else frozenset({scope.prefix})
        listing = RemoteListing(self._root, self._skip, self._take)
        if "" in names:
            listing.add(self._ask(self._find_all))
        else:
            self._list_names(names, scope.path, listing)
        return listing.finish()

    def resolve_names(self, names: Set[str]) -> frozenset[str]:
        """What has to be looked at for these uris: themselves; of a file inside an archive the archive.

        Raises:
            SourceNotFound, SourceUnavailable: as `list`.
        """
        above = {name: [uri for uri in folders_of(name) if "." in uri.rpartition("/")[2]] for name in names}
        asked = sorted({uri for uris in above.values() for uri in uris if not fault_of(uri)})
        files = {uri for uri, is_file in zip(asked, self._each(self._is_file, asked), strict=True) if is_file}
        return frozenset(next((uri for uri in above[name] if uri in files), name) for name in names)

    def names_in(self, folder: str) -> frozenset[str]:
        """Uris of all that lies directly in a folder, whether it would be listed or not.

        Raises:
            SourceNotFound, SourceUnavailable: as `list`.
        """
        forms = spellings(folder) if not fault_of(folder or "x") else []
        return frozenset(uri_of(path) for form in forms for path in self._ask(partial(self._children, form)))

    def emptied_folders(self, uris: Collection[str]) -> frozenset[str]:
        """None: an object store has no folders that could be empty."""
        return frozenset()

    def is_empty_root(self) -> bool:
        """No: a store that answers says what it has."""
        return False

    @contextmanager
    def open(self, uri: str, path: str) -> Iterator[tuple[BinaryIO, Stat]]:
        """The item's bytes and its stat at opening; S3 answers no read of an object that was replaced since.

        Raises:
            FetchFailed: it cannot be read.
        """
        full = f"{self._root}/{path}"
        try:
            with self._fs.open(full, "rb") as stream:
                # the look-up that a read is tied to, where the file made one
                details = getattr(stream, "details", None)
                yield stream, stat_of(details if isinstance(details, dict) else self._fs.info(full))
        except RevectorError:
            raise
        except FileNotFoundError as exc:
            raise FetchFailed(
                f"{uri} vanished after it was listed.", advice="The next run retires it."
            ) from exc
        except Exception as exc:  # each protocol has errors of its own
            raise FetchFailed(f"{uri} cannot be read ({exc}).", advice="Run again.") from exc

    def has_changed(self, path: str, stat: Stat) -> bool:
        """Whether the item is no longer the one that was opened."""
        try:
            return stat_of(self._fs.info(f"{self._root}/{path}")) != stat
        except Exception:  # gone or unreachable: not the item any more
            return True

    def _ask(self, ask: Callable[[], T]) -> T:
        try:
            return try_often(ask)
        except RevectorError:
            raise
        except Exception as exc:  # each protocol has errors of its own
            raise failure(self._shown, exc) from exc

    def _each(self, ask: Callable[[str], T], names: Sequence[str]) -> Sequence[T]:
        """What the store answers for each name; only clients that promise it are asked by several threads."""
        threads = min(LOOKUPS, len(names)) if getattr(self._fs, "async_impl", False) else 1
        if threads <= 1:
            return [self._ask(partial(ask, name)) for name in names]
        with ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(self._ask, partial(ask, name)) for name in names]
            try:
                return [future.result() for future in futures]
            finally:
                pool.shutdown(cancel_futures=True)

    def _list_names(self, names: Set[str], spelled: str, listing: RemoteListing) -> None:
        tops = drop_covered(names)
        for uri in [uri for uri in tops if fault_of(uri)]:
            listing.refuse(uri, fault_of(uri))
        tops = [uri for uri in tops if not fault_of(uri)]
        children = cache(self._children)
        answers = self._each(partial(self._look_up, spelled, children), tops)
        if any(answer is None for answer in answers):  # gone: one by one, or with the root
            self._ask(lambda: self._fs.info(self._root))
        refused = [
            uri for uri, answer in zip(tops, answers, strict=True) if isinstance(answer, PermissionError)
        ]
        if refused and len(refused) == len(tops):
            raise failure(self._shown, PermissionError(f"{refused[0]}: access denied"))
        for uri, answer in zip(tops, answers, strict=True):
            if isinstance(answer, PermissionError):
                listing.refuse(uri, REFUSED)
            else:
                listing.add(answer or {})

    def _look_up(self, spelled: str, children: Callable[[str], Sequence[str]], uri: str) -> _Answer:
        """What is at a name and below it, however the store spells it.

        {} or None: nothing, where None tells that not even its folder, or its bucket, was there. A
        refusal comes back as a value: S3 refuses to say that a key is missing to who may not list.
        """
        found: dict[str, Any] = {}
        was_there = False
        try:
            for form in dict.fromkeys((spelled or uri, *spellings(uri))):
                answer = self._find(form)
                was_there = was_there or answer is not None
                found |= answer or {}
            if not found and normalize("NFD", uri) != uri:
                for form in _respell(uri, children):
                    found |= self._find(form) or {}
        except PermissionError as exc:
            return exc
        return found if found or was_there else None

    def _find(self, path: str) -> dict[str, Any] | None:
        """The file at a path and all below it; None where there is nothing to look below."""
        full = f"{self._root}/{path}"
        try:
            if not self._walks:
                found: dict[str, Any] = self._fs.find(full, detail=True)
                return found if full in found else found | self._find_file(full)
            info = self._fs.info(full)
        except FileNotFoundError:
            return None
        return self._walk(full) if info.get("type") == "directory" else {full: info}

    def _find_file(self, full: str) -> dict[str, Any]:
        """An object that has the name of a folder as well, which is all that some stores list of it."""
        try:
            info = self._fs.info(full)
        except FileNotFoundError:
            return {}
        return {} if info.get("type") == "directory" else {full: info}

    def _find_all(self) -> dict[str, Any]:
        if self._walks:
            self._fs.info(self._root)  # FileNotFoundError: the root itself is gone
            return self._walk(self._root)
        return dict(self._fs.find(self._root, detail=True))

    def _walk(self, full: str) -> dict[str, Any]:
        """All below a folder. fsspec's own walk leaves out folders that fail to list, `on_error` or not."""
        found: dict[str, Any] = {}
        pending, seen = [full], {full}
        while pending:
            try:
                entries = self._fs.ls(pending.pop(), detail=True)
            except FileNotFoundError as exc:
                raise OSError(errno.EAGAIN, f"a folder vanished while it was listed ({exc})") from exc
            for info in entries:
                if info.get("type") != "directory":
                    found[info["name"]] = info
                elif (path := info["name"].rstrip("/")) not in seen:
                    seen.add(path)
                    pending.append(path)
        return found

    def _is_file(self, uri: str) -> bool:
        for form in spellings(uri):
            try:
                if self._fs.info(f"{self._root}/{form}").get("type") != "directory":
                    return True
            except FileNotFoundError:
                continue
        return False

    def _children(self, folder: str) -> Sequence[str]:
        """Paths of what lies directly in a folder; a file has nothing in it, and stores list itself."""
        full = f"{self._root}/{folder}".rstrip("/")
        try:
            entries = [entry.rstrip("/") for entry in self._fs.ls(full, detail=False)]
        except FileNotFoundError:
            return []
        return [entry[len(self._root) + 1 :] for entry in entries if entry.startswith(full + "/")]


_Answer = dict[str, Any] | PermissionError | None


def _respell(uri: str, children: Callable[[str], Sequence[str]]) -> list[str]:
    """How the store spells a name that mixes NFC and NFD: folder by folder, as it lists them."""
    paths = [""]
    for part in uri.split("/"):
        if normalize("NFD", part) == part:
            paths = [f"{path}/{part}".lstrip("/") for path in paths]
            continue
        inside = [child for path in paths for child in children(path)]
        paths = [child for child in inside if normalize("NFC", child.rpartition("/")[2]) == part]
    return paths


def _walks(fs: Any) -> bool:
    """Whether its `find` goes from folder to folder, with the errors that swallows."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    cls = type(fs)
    if isinstance(fs, AsyncFileSystem):
        return cls._find is AsyncFileSystem._find
    return cls.find is AbstractFileSystem.find
