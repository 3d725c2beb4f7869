"""Which source of a collection a named document or object belongs to. Looks at names only, never at files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from unicodedata import category, normalize

from schemas.errors import EventRefused
from schemas.source import Source
from tasks.sources.base import is_remote
from tasks.sources.filesystem import MAX_URI_CHARACTERS

_DRIVE = re.compile(r"[A-Za-z]:([\\/]|$)|[\\/]")
"""An absolute path, or one on a drive of Windows."""

_URI_ADVICE = "Name it as the index does: the path below the source's root, with / between its parts."


def require_uri(uri: str, *, folder: bool = False) -> str:
    r"""The uri in NFC, fit to be joined to a source's root: it leads to nothing outside of it.

    Percent signs mean themselves.

    Args:
        uri: a path below a source.
        folder: of a folder: it may end in a slash, and may be "", which is the whole source.

    Raises:
        EventRefused: it is absolute, has an empty part or one of dots, or a character no name should have.

    >>> require_uri("hr/", folder=True), require_uri("hr/kim.pdf")
    ('hr', 'hr/kim.pdf')
    """
    if (wrong := _find_odd(uri)) or _is_too_long(found := normalize("NFC", uri)):
        raise _refused(uri, wrong or f"it is longer than {MAX_URI_CHARACTERS} characters")
    if folder:
        found = found.removesuffix("/")
        if not found and not uri:
            return ""
    if _DRIVE.match(found):
        raise _refused(uri, "it is absolute")
    parts = found.split("/")
    if "" in parts:
        raise _refused(uri, "it has an empty part")
    if any(part in (".", "..") for part in re.split(r"[\\/]", found)):
        raise _refused(uri, "it has a part of dots")
    return found


def _find_odd(uri: str) -> str:
    """What is wrong with its characters."""
    kinds = {category(char) for char in uri} if not uri.isprintable() else set()
    if "Cs" in kinds:
        return "it is not valid Unicode"
    return "it has a control character" if "Cc" in kinds else ""


def _is_too_long(uri: str) -> bool:
    return len(uri) > MAX_URI_CHARACTERS


def _refused(uri: str, why: str) -> EventRefused:
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in uri[:200])
    return EventRefused(f"'{shown}' cannot be a document's uri: {why}.", advice=_URI_ADVICE)


def route(
    sources: Sequence[Source], uri: str, *, source: str | None = None, inbox: str = ""
) -> tuple[Source, str]:
    """The source that lists a uri, and what it calls it.

    Where a known source lies inside the named one, what is in it belongs to it, as in
    `tasks.sources.base.locate`.

    Args:
        sources: those of the collection.
        uri: as `require_uri` gives it.
        source: name of the source the uri is meant for; needed where there are several.
        inbox: the folder that uploads lie below: a source in it is meant only where it is named, or the
            only one, so that a first upload changes nothing for those who name no source.

    Raises:
        EventRefused: there is no such source, or none is named and there are several.
    """
    own = [one for one in sources if not inbox or not _root(one).startswith(inbox.rstrip("/") + "/")]
    named = _choose(own if source is None and own else sources, source)
    return _deepest(sources, f"{_root(named)}/{uri}" if uri else _root(named)) or (named, uri)


def _choose(sources: Sequence[Source], name: str | None) -> Source:
    names = ", ".join(sorted(one.name for one in sources))
    if name is None:
        if len(sources) == 1:
            return sources[0]
        raise EventRefused(
            f"The collection has {len(sources)} sources.", advice=f"Say which is meant: {names}."
        )
    found = next((one for one in sources if one.name == name), None)
    if found is None:
        raise EventRefused(f"The collection has no source named {name[:200]!r}.", advice=f"It has: {names}.")
    return found


def route_url(sources: Sequence[Source], url: str) -> tuple[Source, str] | None:
    """The source that lists an object (`s3://bucket/key`), and its uri there.

    None where the object lies outside of all sources, or has a name that nothing may have.
    """
    found = _deepest([one for one in sources if is_remote(one.root_url)], normalize("NFC", url))
    if found is None:
        return None
    try:
        return found[0], require_uri(found[1])
    except EventRefused:
        return None


def _deepest(sources: Sequence[Source], place: str) -> tuple[Source, str] | None:
    """The innermost source that a place lies in, with the rest of its path."""
    inside = [one for one in sources if place == _root(one) or place.startswith(_root(one) + "/")]
    if not inside:
        return None
    nearest = max(inside, key=lambda one: len(_root(one)))
    return nearest, place[len(_root(nearest)) + 1 :]


def _root(source: Source) -> str:
    return normalize("NFC", source.root_url).rstrip("/")
