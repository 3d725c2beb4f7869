"""What a source can do, and which kind a path or URL names."""

from __future__ import annotations

from collections.abc import Collection, Set
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol
from unicodedata import normalize

from schemas.errors import SourceNotFound
from schemas.source import Listing, Scope, Source, Stat
from tasks.sources.filesystem import LocalFolder
from tasks.sources.remote import RemoteFolder
from tasks.sources.remote_errors import hide_password


class Lister(Protocol):
    """Lists the items of a scope and opens one of them."""

    def list(self, scope: Scope) -> Listing:
        """What is there now."""
        ...

    def resolve_names(self, names: Set[str]) -> frozenset[str]:
        """What has to be looked at for these uris: of a file inside an archive the archive, and so on."""
        ...

    def names_in(self, folder: str) -> frozenset[str]:
        """Uris of all that lies directly in a folder, whether it would be listed or not."""
        ...

    def is_empty_root(self) -> bool:
        """Whether the source's root is there and holds nothing at all: a folder that is not mounted."""
        ...

    def emptied_folders(self, uris: Collection[str]) -> frozenset[str]:
        """Folders below the root that are there and empty, of those that uris which are gone lay in."""
        ...

    def open(self, uri: str, path: str) -> AbstractContextManager[tuple[BinaryIO, Stat]]:
        """The item's bytes and its stat at opening; raises FetchFailed."""
        ...

    def has_changed(self, path: str, stat: Stat) -> bool:
        """Whether the item is no longer the one that was opened with `stat`."""
        ...


def open_lister(source: Source, *, home: Path | None = None, follow_links: bool = False) -> Lister:
    """The lister for a source; our own data directory inside it is not a part of it."""
    if is_remote(source.root_url):
        return RemoteFolder(source)
    return LocalFolder(source, home=home, follow_links=follow_links)


def require_same_root(source: Source) -> None:
    """Raise SourceNotFound where a local source's root leads elsewhere than when it became one."""
    if is_remote(source.root_url):
        return
    found = Path(source.root_url).resolve().as_posix()
    if found != source.root_url:
        raise SourceNotFound(
            f"The source {source.root_url} is a link now, and leads to {found}.",
            advice="Put the folder back, or ingest what the link leads to: that is another source.",
        )


def find_nested(scope: Scope, known: list[Source], *, home: Path | None = None) -> list[Source]:
    """Sources whose folder lies inside the scope: a run over it takes their documents over.

    Not those in our own data directory: of it a wider source lists nothing, and what is uploaded would
    be retired.
    """
    root = scope.source.root_url.rstrip("/") + "/"
    return [
        source
        for source in known
        if source.root_url.startswith(root)
        and scope.covers(source.root_url[len(root) :])
        and not (home and Path(source.root_url).is_relative_to(home))
    ]


def is_remote(location: str) -> bool:
    """Whether a location is an fsspec URL rather than a local path."""
    return "://" in location and not location.startswith("file://")


def locate(
    location: str, known: list[Source], *, include: tuple[str, ...], exclude: tuple[str, ...]
) -> Scope:
    """The source and the part of it that a path or URL names.

    A folder inside a known source is a part of that source; any other folder is a new one. A
    file outside all sources makes its folder a source, of which only that file is looked at.
    The patterns are always the configured ones.

    Raises:
        SourceNotFound: there is nothing at that path.
    """
    if is_remote(location):
        protocol, rest = location.split("://", 1)
        return _locate_remote(f"{protocol}://{rest.rstrip('/')}", known, include, exclude)
    path = _existing_path(location)
    inside = [s for s in known if not is_remote(s.root_url) and path.is_relative_to(s.root_url)]
    if inside:
        nearest = max(inside, key=lambda source: len(source.root_url))
        nearest = replace(nearest, include=include, exclude=exclude)
        return _scope(nearest, path)
    root = path if path.is_dir() else path.parent
    return _scope(Source(normalize("NFC", root.name) or "root", root.as_posix(), include, exclude), path)


def _existing_path(location: str) -> Path:
    """The real path of what the user named, links resolved."""
    advice = (
        "Check the path, or mount what is not there. A file that was deleted is retired by an ingest of its "
        "folder."
    )
    try:
        path = Path(location.removeprefix("file://")).expanduser()
        path.as_posix().encode()
        if not location or not path.exists():
            raise SourceNotFound(f"There is no file or folder at {location!r}.", advice=advice)
        return path.resolve()
    except UnicodeEncodeError as exc:
        shown = location.encode("utf-8", "backslashreplace").decode()
        raise SourceNotFound(f"The path {shown} is not valid UTF-8.", advice="Rename it.") from exc
    except (OSError, RuntimeError) as exc:
        raise SourceNotFound(f"The path {location!r} cannot be looked at ({exc}).", advice=advice) from exc


def _scope(source: Source, path: Path) -> Scope:
    relative = path.relative_to(source.root_url).as_posix()
    if relative == ".":
        return Scope(source)
    prefix = normalize("NFC", relative)
    return Scope(source, prefix, "" if prefix == relative else relative)


def _locate_remote(
    url: str, known: list[Source], include: tuple[str, ...], exclude: tuple[str, ...]
) -> Scope:
    path = url.split("://", 1)[1]
    if {"", ".", ".."} & set(path.split("/")[1:]):
        raise SourceNotFound(
            f"{hide_password(url)} has an empty part, '.' or '..'.", advice="Write the URL without."
        )
    inside = [s for s in known if url == s.root_url or url.startswith(s.root_url + "/")]
    if inside:
        nearest = max(inside, key=lambda source: len(source.root_url))
        nearest = replace(nearest, include=include, exclude=exclude)
        return _remote_scope(nearest, url[len(nearest.root_url) :].strip("/"))
    name = RemoteFolder(Source("", url)).locate()
    root = url.rpartition("/")[0] if name else url
    title = normalize("NFC", root.split("://", 1)[1].rsplit("/", 1)[-1]) or "root"
    return _remote_scope(Source(title, root, include, exclude), name)


def _remote_scope(source: Source, path: str) -> Scope:
    prefix = normalize("NFC", path)
    return Scope(source, prefix, "" if prefix == path else path)
