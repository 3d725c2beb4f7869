"""The class of an image: what its sidecar says, or the folder it lies in."""

from __future__ import annotations

from pathlib import PurePosixPath
from unicodedata import normalize

from schemas.image import ImageFacts
from schemas.settings import PrototypeSettings
from tasks.images.sidecars import CLASS
from tasks.metadata_paths import read_path

_CONTAINERS = frozenset((".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".eml", ".msg"))


def class_of(uri: str, facts: ImageFacts, settings: PrototypeSettings, patterns: tuple[str, ...]) -> str:
    """The class of an image in NFC, "" for none.

    What its sidecar says comes first, then a path template with `{class}` (with `{class!}` the template
    first), then the first folder below the source, or below the innermost archive or mail that has one.
    Archives and mails are no folders: `shoes.zip/boots/1.jpg` and `boots/old.zip/1.jpg` are boots.

    Args:
        uri: of the image.
        facts: what reading it gave.
        settings: `classes` = "none" takes no folder for a class.
        patterns: the collection's path templates.
    """
    said, path = facts.metadata.extra.get(CLASS, ""), read_path(uri, patterns)
    named = path.fields.get(CLASS, "")
    first, second = (named, said) if CLASS in path.winners else (said, named)
    name = first.strip() or second.strip()
    if not name and settings.classes == "folder":
        name = _folder(uri)
    return normalize("NFC", name)


def _folder(uri: str) -> str:
    found = ""
    for part in reversed(uri.split("/")[:-1]):
        if PurePosixPath(part).suffix.lower() not in _CONTAINERS:
            found = part
        elif found:
            break
    return found
