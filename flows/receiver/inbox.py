"""The inbox: a folder for documents that come by HTTP. What lies in it came complete."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from flows.receiver.refusals import RequestRefused
from schemas.errors import HomeNotWritable
from tasks.sources.scratch import Scratch, sweep

INCOMING = ".incoming"
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_MAX_NAME = 200


def quote_name(name: str) -> str:
    """A name as a folder's: no two share one, on disks that take A and a for the same neither.

    >>> quote_name("default"), quote_name("../HR")
    ('default', '%2E%2E%2F%48%52')
    """
    raw = name.encode("utf-8", "surrogatepass")
    quoted = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)
    if len(quoted) <= _MAX_NAME:
        return quoted
    return f"{quoted[:100]}~{hashlib.sha256(raw).hexdigest()}"


class Incoming:
    """A document on its way in; nobody lists it yet."""

    def __init__(self, path: Path) -> None:
        with _translated():
            self._stream = path.open("xb")
        self.path = path
        self.size = 0
        self._sha256 = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Add to it; raises RequestRefused, 507 where the disk is full."""
        with _translated():
            self._stream.write(piece)
        self._sha256.update(piece)
        self.size += len(piece)

    def finish(self) -> bytes:
        """Make it durable; the sha256 of its bytes (32 bytes)."""
        with _translated():
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
        return self._sha256.digest()

    def discard(self) -> None:
        """Remove it, unless it was placed."""
        with suppress(OSError):  # what could not be written is not written on closing either
            self._stream.close()
        self.path.unlink(missing_ok=True)


class Inbox:
    """The inbox of a tenant.

    Args:
        root: of all inboxes; made at the first upload.
        tenant: whose.
    """

    def __init__(self, root: Path, tenant: str) -> None:
        self.root = root.expanduser().resolve()
        self._tenant = quote_name(tenant)
        self._lock = threading.Lock()
        self._scratch: Scratch | None = None

    def folder(self, collection: str) -> Path:
        """Where the documents of a collection lie."""
        return self.root / self._tenant / quote_name(collection)

    def sweep(self) -> None:
        """Remove what receivers that are gone left half-written; those that live keep theirs.

        Raises:
            HomeNotWritable: the folder cannot be read.
        """
        try:
            sweep(self.root / INCOMING)
        except OSError as exc:
            raise HomeNotWritable(
                f"The inbox {self.root} cannot be used ({exc.strerror}).",
                advice="Set webhook.inbox to a folder that this user may write to.",
            ) from exc

    def make_folder(self, collection: str) -> None:
        """Make the folder of a collection, durably."""
        with self._lock, _translated():
            _make_folders(self.folder(collection))

    def open(self) -> Incoming:
        """A new document, empty."""
        with self._lock, _translated():
            if self._scratch is None or not self._scratch.folder.is_dir():  # somebody may tidy up
                self._scratch = Scratch(self.root / INCOMING)
                weakref.finalize(self, self._scratch.close)
            folder = self._scratch.folder
        return Incoming(folder / uuid4().hex)

    def place(self, incoming: Incoming, collection: str, uri: str) -> None:
        """Put a finished document at its uri, in place of what is there.

        Raises:
            RequestRefused: 409 where a part of the uri is a file, or the uri a folder.
        """
        target = self._target(collection, uri)
        with self._lock, _translated():
            _make_folders(target.parent)
            incoming.path.replace(target)
            _sync_folder(target.parent)

    def remove(self, collection: str, uri: str) -> bool:
        """Remove the document at a uri, and folders that are empty then; False where there is none."""
        folder, target = self.folder(collection), self._target(collection, uri)
        with self._lock, _translated():
            if target.is_dir():
                raise _conflict("it is a folder")
            try:
                target.unlink()
            except (FileNotFoundError, NotADirectoryError):
                return False
            _sync_folder(target.parent)
            with suppress(OSError):  # not empty
                for parent in target.parents:
                    if parent == folder:
                        break
                    parent.rmdir()
            return True

    def _target(self, collection: str, uri: str) -> Path:
        """Where a uri lies; links that somebody put there do not lead out."""
        folder = self.folder(collection)
        target = folder / uri
        if not Path(os.path.realpath(target.parent)).is_relative_to(folder):
            raise _conflict("it leads out of the inbox")
        return target


def _make_folders(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.is_dir()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """A new name is on disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _conflict(why: str) -> RequestRefused:
    return RequestRefused(
        409, "PathConflict", f"Nothing can be stored at that path: {why}.", advice="Choose another path."
    )


@contextmanager
def _unwrapped() -> Iterator[None]:
    """What the file system said to `Scratch`, which tells an operator and not a sender."""
    try:
        yield
    except HomeNotWritable as exc:
        raise exc.__cause__ or exc from None


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the file system as answers; they name no path of this machine."""
    try:
        with _unwrapped():
            yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise _conflict("a folder is where a file was to be, or a file where a folder was to be") from exc
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RequestRefused(
                507,
                "InboxFull",
                "There is no room left for documents.",
                advice="Tell the operator.",
                retry_s=60,
            ) from exc
        if exc.errno == errno.ENAMETOOLONG:
            raise _conflict("a part of it is too long") from exc
        raise RequestRefused(
            500,
            "InboxNotWritable",
            f"The inbox cannot be written ({exc.strerror or type(exc).__name__}).",
            advice="Tell the operator: webhook.inbox must be a folder that the receiver may write to.",
        ) from exc
