"""Raw bytes of documents: content-addressed files, written once, before a row refers to them."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

BLOCK = 1 << 20


class BlobStore:
    """Files named by their sha256 below ``<home>/blobs/<tenant>/``.

    A tenant's blobs lie apart, so one can be erased without asking what another has stored.
    """

    def __init__(self, home: Path, tenant_id: int) -> None:
        self.root = home / "blobs" / str(tenant_id)
        self.root.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: bytes) -> Path:
        """Where the blob lies, if it is stored."""
        name = sha256.hex()
        return self.root / name[:2] / name

    def put(self, stream: BinaryIO) -> tuple[bytes, int]:
        """Store what the stream holds; returns (sha256, size in bytes).

        The file appears under its name only when it is complete. Call `sync` before a row
        refers to it.
        """
        head = stream.read(BLOCK)
        if len(head) < BLOCK:  # the usual small file: no second write when it is there already
            digest = hashlib.sha256(head).digest()
            if not self.path(digest).exists():
                self._place([head], digest)
            return digest, len(head)
        return self._put_large(head, stream)

    def _put_large(self, head: bytes, stream: BinaryIO) -> tuple[bytes, int]:
        hasher, size = hashlib.sha256(), 0
        temporary = self.root / f".{uuid4().hex}.part"
        try:
            with temporary.open("wb") as out:
                for block in _blocks(head, stream):
                    hasher.update(block)
                    out.write(block)
                    size += len(block)
            digest = hasher.digest()
            self._rename(temporary, digest)
        finally:
            temporary.unlink(missing_ok=True)
        return digest, size

    def _place(self, blocks: list[bytes], digest: bytes) -> None:
        temporary = self.root / f".{uuid4().hex}.part"
        try:
            with temporary.open("wb") as out:
                out.writelines(blocks)
            self._rename(temporary, digest)
        finally:
            temporary.unlink(missing_ok=True)

    def _rename(self, temporary: Path, digest: bytes) -> None:
        target = self.path(digest)
        target.parent.mkdir(exist_ok=True)
        temporary.replace(target)

    def sync(self) -> None:
        """Bring all blobs written so far to disk: one call a window, not one a file."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            if (syncfs := _syncfs()) is None or syncfs(descriptor) != 0:
                os.sync()
        finally:
            os.close(descriptor)


def _blocks(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    yield head
    while block := stream.read(BLOCK):
        yield block


@cache
def _syncfs():  # type: ignore[no-untyped-def]
    """Linux' syncfs(2), which Python does not offer; None elsewhere."""
    with contextlib.suppress(OSError, AttributeError):
        return ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True).syncfs
    return None
