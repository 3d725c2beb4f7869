"""Are the raw bytes there, and are they what they are named by?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from registry.blobs import BLOCK, BlobStore
from registry.connection import Connection, Database
from registry.queries import load
from schemas.check import ACTIVE_BLOBS, BLOBS, BYTES, CheckReport, Problem
from schemas.errors import HomeNotWritable

_SQL = load("check")

THREADS = 4
AT_ONCE = 1000
HASH_BYTES = 32


class Contents:
    """The sha256 of all versions' bytes, those of active versions apart; 32 bytes each."""

    def __init__(self) -> None:
        self.active = bytearray()
        self.older = bytearray()

    def __len__(self) -> int:
        return (len(self.active) + len(self.older)) // HASH_BYTES


def read_contents(connection: Connection, values: dict[str, Any], *, active_only: bool = False) -> Contents:
    """What the versions of a collection need."""
    contents = Contents()
    name = "active_contents" if active_only else "all_contents"
    with connection.cursor(name=name, binary=True) as cursor:
        cursor.itersize = 10_000
        for sha256, is_active in cursor.execute(_SQL[name], values):
            (contents.active if is_active else contents.older).extend(sha256)
    return contents


def find_lost(blobs: BlobStore, hashes: Iterable[bytes]) -> list[bytes]:
    """Those that are not stored."""
    root = str(blobs.root)
    names = ((sha256, sha256.hex()) for sha256 in hashes)
    # not by Path: three times as slow, and the cheap part asks for all of them
    return [sha256 for sha256, name in names if not os.path.isfile(f"{root}/{name[:2]}/{name}")]  # noqa: PTH113


def check_contents(
    db: Database,
    collection_id: int,
    blobs: BlobStore,
    contents: Contents,
    report: CheckReport,
    *,
    hash_blobs: bool,
) -> None:
    """Whether all of them are stored and, if asked, hold the bytes they are named by."""
    report.checked["blobs"] = len(contents)
    for invariant, packed in ((ACTIVE_BLOBS, contents.active), (BLOBS, contents.older)):
        lost = _still_referred(db, collection_id, find_lost(blobs, _unpack(packed)))
        report.lost += lost
        if lost:
            report.problems.append(Problem(invariant, f"{len(lost)} blobs are missing{_shown(lost)}"))
    if not hash_blobs:
        return
    report.checked["blob_bytes"] = 0
    gone = set(report.lost)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="hash") as threads:
        for packed in (contents.active, contents.older):
            for batch in _batches(packed):
                present = [sha256 for sha256 in batch if sha256 not in gone]
                for sha256, size, is_sound in threads.map(lambda sha: _hash(blobs, sha), present):
                    report.checked["blob_bytes"] += size
                    if not is_sound:
                        report.damaged.append(sha256)
    if report.damaged:
        detail = f"{len(report.damaged)} blobs hold other bytes{_shown(report.damaged)}"
        report.problems.append(Problem(BYTES, detail))


def count_orphan_blobs(db: Database, blobs: BlobStore) -> tuple[int, int]:
    """(number, bytes) of the files that no version of the tenant refers to."""
    count = size = 0
    for names in _stored_names(blobs):
        hashes = [bytes.fromhex(name) for name in names]
        values = {"tenant": db.tenant_id, "hashes": hashes}
        with db.connection() as connection:
            rows = connection.execute(_SQL["referred_by_tenant"], values, binary=True).fetchall()
        for sha256 in set(hashes) - {row[0] for row in rows}:
            try:
                size += blobs.path(sha256).stat().st_size
            except FileNotFoundError:  # somebody purges
                continue
            count += 1
    return count, size


def is_damaged(blobs: BlobStore, sha256: bytes) -> bool:
    """Whether the file is there and holds other bytes than its name says."""
    return not _hash(blobs, sha256)[2]


def _still_referred(db: Database, collection_id: int, lost: Sequence[bytes]) -> list[bytes]:
    """Without those that a purge has removed, row and file, since the rows were read."""
    if not lost:
        return []
    values = {"tenant": db.tenant_id, "collection": collection_id, "hashes": list(lost)}
    with db.connection() as connection:
        rows = connection.execute(_SQL["still_referred"], values, binary=True).fetchall()
    kept = {sha256 for (sha256,) in rows}
    return [sha256 for sha256 in lost if sha256 in kept]


def _hash(blobs: BlobStore, sha256: bytes) -> tuple[bytes, int, bool]:
    """(sha256, bytes read, whether they are the right ones); a file that vanished is no damage."""
    hasher, size = hashlib.sha256(), 0
    try:
        with blobs.path(sha256).open("rb") as stream:
            while block := stream.read(BLOCK):
                hasher.update(block)
                size += len(block)
    except FileNotFoundError:
        return sha256, 0, True
    except PermissionError as exc:  # who may not read it knows nothing about it
        raise HomeNotWritable(
            f"The raw file {blobs.path(sha256)} cannot be read ({exc.strerror}).",
            advice="Run the check as the user who ingests.",
        ) from exc
    except OSError:  # the disk cannot read it back
        return sha256, size, False
    return sha256, size, hasher.digest() == sha256


def _stored_names(blobs: BlobStore) -> Iterator[list[str]]:
    """Names of complete blobs, folder by folder; what is still being written has another name."""
    for folder in sorted(blobs.root.iterdir()):
        if len(folder.name) == 2 and folder.is_dir():
            names = [entry.name for entry in os.scandir(folder) if _is_blob(entry.name)]
            for start in range(0, len(names), AT_ONCE):
                yield names[start : start + AT_ONCE]


def _is_blob(name: str) -> bool:
    return len(name) == 2 * HASH_BYTES and set(name) <= set("0123456789abcdef")


def _unpack(packed: bytearray) -> Iterator[bytes]:
    for start in range(0, len(packed), HASH_BYTES):
        yield bytes(packed[start : start + HASH_BYTES])


def _batches(packed: bytearray) -> Iterator[list[bytes]]:
    hashes = _unpack(packed)
    while batch := list(islice(hashes, AT_ONCE)):
        yield batch


def _shown(hashes: Sequence[bytes], most: int = 5) -> str:
    """A few names, for whoever looks for them in a backup."""
    names = ", ".join(sha256.hex() for sha256 in hashes[:most])
    return f": {names}" + (f" and {len(hashes) - most} more" if len(hashes) > most else "")
