"""Sources and what listing one gives."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple


class Stat(NamedTuple):
    """What a listing says of an item without reading it; equal stats mean equal bytes.

    Local files fill size (bytes), mtime_ns, ctime_ns and inode; object stores fill size
    and etag. ``ctime_ns`` cannot be set back by ``cp -p``, ``tar`` or ``rsync -t``,
    which is why mtime alone is not enough.
    """

    size: int
    mtime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A place that lists items. ``id`` is None until the registry knows it."""

    name: str
    root_url: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a source that one run looks at: all of it ("") or one uri or folder.

    `path` is the prefix as the source spells it, where that is not NFC. With `names` (uris of files and
    of folders, NFC; "" is all) the scope is these and what lies under them, wherever in the source; then
    the prefix is "". Nothing else is listed, planned, or taken as deleted.
    """

    source: Source
    prefix: str = ""
    path: str = ""
    names: frozenset[str] | None = None

    def covers(self, uri: str) -> bool:
        """Whether the uri lies inside the scope."""
        if self.names is not None:
            return "" in self.names or is_under(uri, self.names)
        return not self.prefix or uri == self.prefix or uri.startswith(self.prefix + "/")


def is_under(uri: str, prefixes: AbstractSet[str]) -> bool:
    """Whether a uri is one of the prefixes, or below one."""
    if not prefixes:
        return False
    end = len(uri)
    while end > 0:
        if uri[:end] in prefixes:
            return True
        end = uri.rfind("/", 0, end)
    return False


@dataclass(frozen=True, slots=True)
class ListingProblem:
    """A file or folder that could not be listed; what lies under it is not deleted.

    `error` is the class name of its rejection; `blocks` is what must not be deleted where that is
    another than `uri`; "" is nothing.
    """

    uri: str
    message: str
    error: str = "NotListed"
    blocks: str | None = None

    @property
    def blocked(self) -> str:
        """Nothing at this uri or below it is deleted."""
        return self.uri if self.blocks is None else self.blocks


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source holds now.

    Attributes:
        items: uri -> stat. A uri is the path below the source's root, POSIX, NFC; of a file
            inside an archive or a mail it goes on with the path in there, as in a folder.
        paths: uri -> the path as the source spells it, only where it differs (NFD names,
            and files inside others: see `tasks.sources.members`).
        problems: what could not be looked at.
    """

    items: dict[str, Stat]
    paths: dict[str, str] = field(default_factory=dict)
    problems: tuple[ListingProblem, ...] = ()
