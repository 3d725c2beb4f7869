"""Bring an item's bytes into the blob store, unchanged while they were read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas.errors import EmptyDocument, FetchFailed, FileTooLarge
from schemas.source import Stat
from tasks.changes import is_racy
from tasks.workspace import MB, Workspace

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Fetched:
    """An item as stored. `stat` is None where it would not show the next edit."""

    uri: str
    stat: Stat | None
    sha256: bytes
    path: Path


def fetch(workspace: Workspace, uri: str, path: str) -> Fetched:
    """Copy an item into the blob store.

    Raises:
        FileTooLarge: over `limits.max_file_mb`; nothing was read.
        EmptyDocument: it has no bytes.
        FetchFailed: it cannot be read, is gone, or changes faster than it can be read.
    """
    for _ in range(ATTEMPTS):
        started_ns = workspace.clock_ns()
        with workspace.lister.open(uri, path) as (stream, stat):
            _check_size(uri, stat, workspace.settings.limits.max_file_mb)
            sha256, size = workspace.blobs.put(stream)
        if size == stat.size and not workspace.lister.has_changed(path, stat):
            remembered = None if is_racy(stat, started_ns) else stat
            return Fetched(uri, remembered, sha256, workspace.blobs.path(sha256))
    raise FetchFailed(f"{uri} changed while it was read.", advice="The next run tries again.")


def _check_size(uri: str, stat: Stat, max_file_mb: int) -> None:
    if stat.size > max_file_mb * MB:
        raise FileTooLarge(
            f"{uri} has {stat.size / MB:.0f} MB, more than limits.max_file_mb = {max_file_mb}.",
            advice="Raise the limit in revector.toml, or split the file.",
        )
    if stat.size == 0:
        raise EmptyDocument(f"{uri} is empty.", advice="Nothing to index; exclude it or fill it.")
