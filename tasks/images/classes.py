"""The class of an image: what its sidecar says, or the folder it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from unicodedata import normalize

from schemas.image import ImageFacts
from schemas.settings import PrototypeSettings
from tasks.images.sidecars import CLASS
from tasks.metadata_paths import read_path
from tasks.sources.members import SEPARATOR
from tasks.sources.sidecars import PAIR

_CONTAINERS = frozenset((".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".eml", ".msg"))


def class_of(
    uri: str, path: str, facts: ImageFacts, settings: PrototypeSettings, patterns: tuple[str, ...]
) -> str:
    """The class of an image in NFC, "" for none.

    What its sidecar says comes first, then a path template with `{class}` (with `{class!}` the template
    first), then the first folder below the source, or below the innermost archive or mail that has one.
    Archives and mails are no folders: `shoes.zip/boots/1.jpg` and `boots/old.zip/1.jpg` are boots.

    Args:
        uri: of the image.
        path: as the source spells it; tells what lies inside an archive or a mail.
        facts: what reading it gave.
        settings: `classes` = "none" takes no folder for a class.
        patterns: the collection's path templates.
    """
    said, stated = facts.metadata.extra.get(CLASS, ""), read_path(uri, patterns)
    named = stated.fields.get(CLASS, "")
    first, second = (named, said) if CLASS in stated.winners else (said, named)
    name = first.strip() or second.strip()
    if not name and settings.classes == "folder":
        name = _folder(uri, path.split(PAIR)[0])
    return normalize("NFC", name)


def _folder(uri: str, path: str) -> str:
    """The first folder of the innermost place that has one; "" for none."""
    _, separator, inside = path.partition(SEPARATOR)
    if not separator:
        return _first(uri.split("/")[:-1])
    within = inside.split("/")[:-1]
    around = uri.split("/")[: -(len(within) + 1)]  # with the container's own name behind
    return _innermost(within) or _first(around[:-1])


def _first(folders: Sequence[str]) -> str:
    return folders[0] if folders else ""


def _innermost(folders: Sequence[str]) -> str:
    """The same inside an archive, where others may lie: those are told by their names."""
    found = ""
    for folder in reversed(folders):
        if PurePosixPath(folder).suffix.lower() not in _CONTAINERS:
            found = folder
        elif found:
            break
    return found
