"""The class of an image: the folder it lies in, below its source."""

from __future__ import annotations

from pathlib import PurePosixPath
from unicodedata import normalize

from schemas.image import ImageFacts
from schemas.settings import PrototypeSettings
from tasks.metadata_paths import read_path
from tasks.sources.members import SEPARATOR

CLASS = "class"
"""The free fact that names an image's class, in a sidecar, a path template, and where it is stored."""

_ARCHIVES = frozenset((".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz"))


def class_of(
    uri: str, path: str, facts: ImageFacts, settings: PrototypeSettings, patterns: tuple[str, ...]
) -> str:
    """The class of an image in NFC, "" for none.

    What its sidecar says comes first, then a path template with `{class}`, then the outermost folder
    below the source. Archives are no folders: `shoes.zip/boots/1.jpg` and `boots/old.zip/1.jpg` are boots.

    Args:
        uri: of the image.
        path: as the source spells it; tells what lies inside an archive.
        facts: what reading it gave.
        settings: `classes` = "none" takes no folder for a class.
        patterns: the collection's path templates.
    """
    said = facts.metadata.extra.get(CLASS) or read_path(uri, patterns).fields.get(CLASS, "")
    if said.strip():
        return normalize("NFC", said.strip())
    if settings.classes == "none":
        return ""
    folders = [name for name in _folders(uri, path) if PurePosixPath(name).suffix.lower() not in _ARCHIVES]
    return normalize("NFC", folders[0]) if folders else ""


def _folders(uri: str, path: str) -> list[str]:
    """Folders of the innermost place that has any: inside the archive, else around it."""
    *_, inside = path.split(SEPARATOR + SEPARATOR)[0].split(SEPARATOR)
    if SEPARATOR in path and "/" in inside:
        return inside.split("/")[:-1]
    return uri.split("/")[:-1]
