"""Named uris as a tree of path components: a walk follows it and looks at nothing else."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unicodedata import is_normalized, normalize

from schemas.source import Listing, Scope

NameTree = dict[str, "NameTree | None"]
"""Component -> what is named below it; None is everything."""


def name_tree(names: Collection[str]) -> NameTree | None:
    """The uris as a tree; None where one of them is "", which is everything.

    >>> name_tree({"a/b.txt", "a/c", "a/c/d"})
    {'a': {'b.txt': None, 'c': None}}
    """
    if "" in names:
        return None
    tree: NameTree = {}
    for name in sorted(names):
        *folders, last = name.split("/")
        node = _descend(tree, folders)
        if node is not None:
            node[last] = None
    return tree


def folder_tree(names: Collection[str]) -> NameTree:
    """The uris as a tree with nothing below them: a walk lists those that are files, and no more."""
    tree: NameTree = {}
    for name in names:
        _descend(tree, name.split("/"))
    return tree


def _descend(tree: NameTree, parts: Sequence[str]) -> NameTree | None:
    """The tree at the end of a path, made where it is not there; None if all of a folder above is named."""
    node: NameTree | None = tree
    for part in parts:
        if node is None:
            return None
        node = node.setdefault(part, {})
    return node


def uri_name(name: str) -> str:
    """A name of the disk as a uri has it: NFC; of one that is no UTF-8, as its problem spells it."""
    if name.isascii() or is_normalized("NFC", name):
        return name.encode("utf-8", "backslashreplace").decode()
    shown = name.encode("utf-8", "backslashreplace").decode()
    return normalize("NFC", name) if shown == name else shown


def ancestors(uri: str) -> Iterator[str]:
    """The folders a uri lies in, the nearest first, without the root.

    >>> list(ancestors("a/b/c.txt"))
    ['a/b', 'a']
    """
    while (end := uri.rfind("/")) >= 0:
        uri = uri[:end]
        yield uri


def names_of_folder(root: Path, folder: str) -> set[str]:
    """Uris of what lies in a folder of a local source; empty where it cannot be read or is none."""
    found = [root]  # several where folders differ in Unicode only
    for part in folder.split("/") if folder else ():
        found = [path / name for path in found for name in _names(path) if uri_name(name) == part]
    return {f"{folder}/{uri_name(name)}".lstrip("/") for path in found for name in _names(path)}


def _names(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def restrict(listing: Listing, scope: Scope) -> Listing:
    """What a listing of the whole source says of the names: they, what lies under them and over them.

    Of what lies over a name only a file is listed (a container, which is opened later), and a problem
    (a folder that cannot be read blocks what is below it).
    """
    assert scope.names is not None
    above = {folder for name in scope.names for folder in ancestors(name)}

    def concerns(uri: str) -> bool:
        return uri in above or scope.covers(uri)

    items = {uri: stat for uri, stat in listing.items.items() if concerns(uri)}
    paths = {uri: path for uri, path in listing.paths.items() if uri in items}
    problems = tuple(problem for problem in listing.problems if concerns(problem.uri))
    return replace(listing, items=items, paths=paths, problems=problems)


def add_containers(names: Collection[str], files: Collection[str]) -> frozenset[str]:
    """The names, each that goes through a file being that file."""
    return frozenset(next((uri for uri in ancestors(name) if uri in files), name) for name in names)
