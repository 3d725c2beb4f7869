"""Sources and what listing one gives."""

from __future__ import annotations

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

    `path` is the prefix as the source spells it, where that is not NFC.
    """

    source: Source
    prefix: str = ""
    path: str = ""

    def covers(self, uri: str) -> bool:
        """Whether the uri lies inside the scope."""
        return not self.prefix or uri == self.prefix or uri.startswith(self.prefix + "/")


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
