"""A folder for files of one process, deleted with it, or by the next one where it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from schemas.errors import HomeNotWritable

LOCK = ".lock"
UNLOCKED_AGE_S = 3600
"""A folder without a lock is just being made, unless it is this old."""


class Scratch:
    """A new folder below `root`, held by a lock that ends with the process.

    Making one deletes those whose processes are gone: their locks can be taken.
    """

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True)
            sweep(root)
            self.folder = Path(tempfile.mkdtemp(dir=root))
        except OSError as exc:
            raise HomeNotWritable(
                f"{root} cannot be written ({exc.strerror}).",
                advice="Make room there, or give this user the right.",
            ) from exc
        self._lock = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def sweep(root: Path) -> None:
    """Delete what processes left that are gone."""
    for folder in root.iterdir() if root.is_dir() else ():
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        try:
            return folder.is_dir() and time.time() - folder.stat().st_mtime > UNLOCKED_AGE_S
        except OSError:  # another process was faster
            return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(lock)
