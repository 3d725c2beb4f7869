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

from schemas.errors import HomeNotWritable

BLOCK = 1 << 20
GONE = ".gone"
DAMAGED = ".damaged"
"""What a repair set aside."""


class BlobStore:
    """Files named by their sha256 below ``<home>/blobs/<tenant>/``.

    A tenant's blobs lie apart, so one can be erased without asking what another has stored.
    """

    def __init__(self, home: Path, tenant_id: int) -> None:
        self.root = home / "blobs" / str(tenant_id)
        with self._write_errors():
            self.root.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: bytes) -> Path:
        """Where the blob lies, if it is stored."""
        name = sha256.hex()
        return self.root / name[:2] / name

    def put(self, stream: BinaryIO) -> tuple[bytes, int]:
        """Store what the stream holds; returns (sha256, size in bytes).

        The file appears under its name only when it is complete. Call `sync` before a row
        refers to it.

        Raises:
            HomeNotWritable: the disk is full, or the folder may not be written.
        """
        head = stream.read(BLOCK)
        if len(head) < BLOCK:  # the usual small file: no second write when it is there already
            digest = hashlib.sha256(head).digest()
            if not self._touch(digest, len(head)):
                self._place(head, digest)
            return digest, len(head)
        return self._put_large(head, stream)

    def _touch(self, digest: bytes, size: int) -> bool:
        """Whether the blob is there whole: after a power cut a file may be shorter than it was.

        Its new time tells a purge that runs beside this that somebody needs it.
        """
        path = self.path(digest)
        try:
            if path.stat().st_size != size:
                return False
            os.utime(path)
            return True
        except FileNotFoundError:
            return False

    def stored(self) -> Iterator[bytes]:
        """sha256 of each blob, in no order; of one that was set aside as damaged too."""
        for folder in sorted(self.root.iterdir()):
            if len(folder.name) == 2 and folder.is_dir():
                for name in sorted({path.name.removesuffix(DAMAGED) for path in folder.iterdir()}):
                    with contextlib.suppress(ValueError):
                        if len(digest := bytes.fromhex(name)) == 32:
                            yield digest

    def has_any(self, digest: bytes) -> bool:
        """Whether a file of that name is there, set aside or not."""
        path = self.path(digest)
        return path.exists() or path.with_suffix(DAMAGED).exists()

    def bytes_stored(self) -> int:
        """Size of all blobs."""
        return sum(self.size(digest) for digest in self.stored())

    def size(self, digest: bytes) -> int:
        """Bytes of a blob, 0 where it is gone."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def discard(self, digest: bytes, *, untouched_since: float | None) -> int | None:
        """Delete a blob unless somebody put it again; returns its size, None where it stays.

        It first gets another name: who puts it from then on writes it anew, and who put it just
        before has changed its time, which is looked at once more.

        Args:
            digest: of the blob.
            untouched_since: seconds since the epoch; None deletes it whatever its time.
        """
        path = self.path(digest)
        gone = path.with_name(f".{path.name}{GONE}")
        with self._write_errors():
            path.with_suffix(DAMAGED).unlink(missing_ok=True)
            try:
                if untouched_since is not None and path.stat().st_mtime >= untouched_since:
                    return None
                path.rename(gone)
                found = gone.stat()
                if untouched_since is not None and found.st_mtime >= untouched_since:
                    gone.rename(path)
                    return None
                gone.unlink()
            except FileNotFoundError:
                return None
        return found.st_size

    def bring_back(self) -> None:
        """Give blobs their name again that a killed purge was about to delete."""
        for gone in self.root.glob(f"??/.*{GONE}"):
            with self._write_errors(), contextlib.suppress(FileNotFoundError):
                gone.rename(gone.with_name(gone.name[1 : -len(GONE)]))

    def clear_parts(self) -> None:
        """Delete what killed runs left half written. No run may be live."""
        for part in self.root.glob(".*.part"):
            with self._write_errors():
                part.unlink(missing_ok=True)

    def _put_large(self, head: bytes, stream: BinaryIO) -> tuple[bytes, int]:
        hasher, size = hashlib.sha256(), 0
        with self._temporary() as temporary:
            with self._write_errors():
                out = temporary.open("wb")
            with out:
                for block in _blocks(head, stream):
                    hasher.update(block)
                    size += len(block)
                    with self._write_errors():
                        out.write(block)
                with self._write_errors():
                    out.flush()
            self._rename(temporary, hasher.digest())
        return hasher.digest(), size

    def _place(self, content: bytes, digest: bytes) -> None:
        with self._temporary() as temporary:
            with self._write_errors():
                temporary.write_bytes(content)
            self._rename(temporary, digest)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        path = self.root / f".{uuid4().hex}.part"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _rename(self, temporary: Path, digest: bytes) -> None:
        target = self.path(digest)
        with self._write_errors():
            target.parent.mkdir(exist_ok=True)
            temporary.replace(target)

    @contextlib.contextmanager
    def _write_errors(self) -> Iterator[None]:
        """Our own disk's errors stop the run; those of the source reject one document."""
        try:
            yield
        except OSError as exc:
            raise HomeNotWritable(
                f"The blob store {self.root} cannot be written ({exc.strerror or exc}).",
                advice="Make room or give this user the right to write there, then run again.",
            ) from exc

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
