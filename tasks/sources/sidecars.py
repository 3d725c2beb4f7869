"""Images and the files beside them that say what they show, listed and opened as one item.

A sidecar has the image's name and a suffix behind it (``a.jpg.json``), or that suffix in the place of
the image's (``a.json``): then it belongs to each image of that name. The pair is a bundle
(`tasks.images.sidecars`) under the image's uri; its path, as the source spells it, is the image's, two
NULs, and the sidecar's: not even a file inside an archive has that.
"""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Protocol, cast

from schemas.container import Unpacked
from schemas.errors import FetchFailed
from schemas.source import Listing, ListingProblem, Scope, Stat
from tasks.images.sidecars import HEADER_BYTES, SIDECAR_SUFFIXES, bundle_header
from tasks.sources.base import Lister
from tasks.sources.members import SEPARATOR

PAIR = SEPARATOR * 2
IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .heic .heics .heif .heifs .hif"
    " .avif .avifs".split()
)
"""What a file must be called to have a sidecar; whether it is an image its content decides."""

ETAG = "with sidecar:"
IGNORED = "this sidecar is not read: {other} comes first for {image}; delete one of them"
HELD_BACK = "the image's sidecar {sidecar} could not be listed; the image stays as it was"


class MemberOpener(Lister, Protocol):
    """A lister that looks into containers as well: `tasks.sources.members.MemberLister`."""

    def look_inside(self, uri: str, path: str) -> tuple[Unpacked, Stat]:
        """What a container holds, and its stat when it was read."""
        ...

    def close(self) -> None:
        """Delete what was unpacked."""
        ...


def pair_sidecars(listing: Listing) -> Listing:
    """The listing with images and their sidecars as one item each.

    Of several sidecars of an image the longer name counts (``a.jpg.txt`` before ``a.json``), then JSON
    before text; one that no image reads becomes a problem. A sidecar without an image stays an item. An
    image whose sidecar could not be listed is a problem too, so what is known of it stays: else its
    caption would vanish with a passing error. What is paired already stays as it is.
    """
    sidecars = _Sidecars.find(listing)
    if not sidecars.by_image:
        return listing
    items, paths, problems = dict(listing.items), dict(listing.paths), list(listing.problems)
    read: set[str] = set()
    beaten: dict[str, tuple[str, str]] = {}
    for uri in _images(listing):
        found = sidecars.of(uri)
        if not found:
            continue
        first, *others = found
        beaten.update({other: (first, uri) for other in others if other not in beaten})
        if first not in listing.items:
            del items[uri]
            paths.pop(uri, None)
            problems.append(ListingProblem(uri, HELD_BACK.format(sidecar=_name(first))))
            continue
        read.add(first)
        items[uri] = combine(listing.items[uri], listing.items[first])
        paths[uri] = listing.paths.get(uri, uri) + PAIR + listing.paths.get(first, first)
    for uri in (read | beaten.keys()) & listing.items.keys():
        del items[uri]
        paths.pop(uri, None)
    problems += [
        ListingProblem(uri, IGNORED.format(other=_name(other), image=_name(image)), blocks="")
        for uri, (other, image) in sorted(beaten.items())
        if uri not in read and uri in listing.items
    ]
    return replace(listing, items=items, paths=paths, problems=tuple(problems))


def combine(image: Stat, sidecar: Stat) -> Stat:
    """The stat of the pair: the size of the bundle, the later times, and an etag that tells both stats."""
    both = hashlib.sha256(repr((tuple(image), tuple(sidecar))).encode()).hexdigest()[:32]
    return Stat(
        HEADER_BYTES + sidecar.size + image.size,
        max(image.mtime_ns, sidecar.mtime_ns),
        max(image.ctime_ns, sidecar.ctime_ns),
        image.inode,
        ETAG + both,
    )


class SidecarLister:
    """A lister of images that come with their sidecars; all else is as its own lister has it."""

    def __init__(self, lister: MemberOpener) -> None:
        self._lister = lister

    def list(self, scope: Scope) -> Listing:
        """What is there now, images paired; containers are closed.

        Of a name all that may be paired with it is listed too: see `resolve_names`.
        """
        if scope.names is not None:
            names = self.resolve_names(scope.names)
            return pair_sidecars(self._lister.list(replace(scope, names=names)))
        listing = self._lister.list(scope)
        if scope.prefix in listing.items:  # a single file: its sidecar is out of the scope
            return pair_sidecars(self._with_neighbours(listing, scope))
        return pair_sidecars(listing)

    def resolve_names(self, names: Set[str]) -> frozenset[str]:
        """The names with each named image's sidecars and each named sidecar's images, as a folder has them.

        All of one stem are taken together: which of them are a pair may change with any of them. A name
        that is gone stays, so that what is known of it is looked at.
        """
        resolved = self._lister.resolve_names(names)
        stems = {stem for name in resolved if (stem := pair_stem(name))}
        beside = (uri for folder in set(map(_folder, stems)) for uri in self._lister.names_in(folder))
        return resolved | {uri for uri in beside if pair_stem(uri) in stems}

    @contextmanager
    def open(self, uri: str, path: str) -> Iterator[tuple[BinaryIO, Stat]]:
        """The item's bytes and its stat at opening; raises FetchFailed."""
        image_path, is_pair, sidecar_path = path.partition(PAIR)
        if not is_pair:
            with self._lister.open(uri, path) as opened:
                yield opened
            return
        sidecar_uri = _beside(uri, sidecar_path)
        with (
            self._lister.open(sidecar_uri, sidecar_path) as (sidecar, sidecar_stat),
            self._lister.open(uri, image_path) as (image, image_stat),
        ):
            header = bundle_header(_suffix(sidecar_path), sidecar_stat.size)
            chain = _Chain([cast(BinaryIO, io.BytesIO(header)), sidecar, image])
            with io.BufferedReader(chain, 1 << 20) as stream:
                yield cast(BinaryIO, stream), combine(image_stat, sidecar_stat)

    def has_changed(self, path: str, stat: Stat) -> bool:
        """Whether the item is no longer the one that was opened; of a pair, either of its files."""
        if PAIR not in path:
            return self._lister.has_changed(path, stat)
        try:
            with self.open(path.partition(PAIR)[0].replace(SEPARATOR, "/"), path) as (_, now):
                return now != stat
        except FetchFailed:
            return True

    def names_in(self, folder: str) -> frozenset[str]:
        """Uris of all that lies directly in a folder, sidecars included."""
        return self._lister.names_in(folder)

    def emptied_folders(self, uris: Collection[str]) -> frozenset[str]:
        """Folders that are there and empty, of those that uris which are gone lay in."""
        return self._lister.emptied_folders(uris)

    def is_empty_root(self) -> bool:
        """Whether the source's root is there and holds nothing at all."""
        return self._lister.is_empty_root()

    def look_inside(self, uri: str, path: str) -> tuple[Unpacked, Stat]:
        """What a container holds, and its stat when it was read; raises DocumentError."""
        return self._lister.look_inside(uri, path)

    def close(self) -> None:
        """Delete what was unpacked."""
        self._lister.close()

    def _with_neighbours(self, listing: Listing, scope: Scope) -> Listing:
        """The single file with the sidecar that it has, if any.

        The whole folder is listed: only so the sidecar is the one that a run over the folder would take.
        """
        if not _is_image(scope.prefix):
            return listing
        folder, path = (_folder(name) for name in (scope.prefix, scope.path or scope.prefix))
        around = self._lister.list(Scope(scope.source, folder, path))
        found = _Sidecars.find(around).of(scope.prefix)[:1]
        items = {uri: around.items[uri] for uri in found if uri in around.items}
        paths = {uri: around.paths[uri] for uri in found if uri in around.paths}
        problems = tuple(problem for problem in around.problems if problem.uri in found)
        return Listing(listing.items | items, listing.paths | paths, listing.problems + problems)


@dataclass(frozen=True, slots=True)
class _Sidecars:
    """Sidecars by the name of the image, its own suffix in lower case where it has one of an image."""

    by_image: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def find(cls, listing: Listing) -> _Sidecars:
        """Those that are listed, and those that could not be."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        unlisted = (problem.uri for problem in listing.problems if problem.blocked)
        for uri in {*listing.items, *unlisted}:
            if (suffix := _suffix(uri)) in SIDECAR_SUFFIXES:
                found[_key(uri[: -len(suffix)])].append(uri)
        return cls(dict(found))

    def of(self, image: str) -> Sequence[str]:
        """Those of an image, the one that counts first."""
        stem = image[: -len(_suffix(image))]
        return [*self._sorted(_key(image)), *self._sorted(_key(stem))] if stem else []

    def _sorted(self, key: str) -> Iterable[str]:
        return sorted(self.by_image.get(key, ()), key=lambda uri: (SIDECAR_SUFFIXES.index(_suffix(uri)), uri))


class _Chain(io.RawIOBase):
    """Streams one after the other; closing it leaves them open."""

    def __init__(self, streams: Sequence[BinaryIO]) -> None:
        self._streams = list(streams)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as one read goes; 0 at the end of the last stream."""
        while self._streams:
            if data := self._streams[0].read(len(buffer)):
                buffer[: len(data)] = data
                return len(data)
            del self._streams[0]
        return 0


def _images(listing: Listing) -> list[str]:
    """Files that are called images and not paired yet."""
    return [uri for uri in listing.items if _is_image(uri) and PAIR not in listing.paths.get(uri, "")]


def _is_image(uri: str) -> bool:
    return _suffix(uri) in IMAGE_SUFFIXES


def _key(name: str) -> str:
    suffix = _suffix(name)
    return name[: -len(suffix)] + suffix if suffix in IMAGE_SUFFIXES else name


def pair_stem(uri: str) -> str:
    """What images and sidecars that may be pairs have in common; "" for a file of another kind."""
    stem = uri[: -len(suffix)] if (suffix := _suffix(uri)) in SIDECAR_SUFFIXES else uri
    while (suffix := _suffix(stem)) in IMAGE_SUFFIXES:
        stem = stem[: -len(suffix)]
    return "" if stem == uri else stem


def _suffix(uri: str) -> str:
    """The last suffix with its dot, in lower case; "" where there is none, or nothing before it."""
    name = _name(uri)
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]


def _folder(uri: str) -> str:
    return uri.rpartition("/")[0]


def _beside(uri: str, sidecar_path: str) -> str:
    """The uri of a file in the folder of another; its name is the only part that can differ."""
    return f"{_folder(uri)}/{_name(sidecar_path.rpartition(SEPARATOR)[2])}".lstrip("/")
