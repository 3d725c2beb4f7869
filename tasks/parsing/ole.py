"""OLE compound files, opened and read without an exception of the library's own."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from schemas.errors import ParseFailed

if TYPE_CHECKING:
    from olefile import OleFileIO


def open_ole(data: bytes, application: str) -> OleFileIO:
    """The compound file; its application is for the advice.

    Raises:
        ParseFailed: it is none, or its directory is damaged.
    """
    import olefile

    try:
        return olefile.OleFileIO(io.BytesIO(data))
    except Exception as exc:  # of many classes, by where the damage is
        raise damaged(application) from exc


def stream(ole: OleFileIO, *path: str) -> bytes:
    """A stream's bytes, none where it is missing or damaged."""
    try:
        return bytes(ole.openstream(list(path)).read())
    except Exception:  # OSError, struct.error, IndexError: by where the damage is
        return b""


def listing(ole: OleFileIO) -> list[list[str]]:
    """The paths of all streams, none where the directory goes round in circles."""
    try:
        return list(ole.listdir())
    except Exception:  # RecursionError, IndexError: by where the damage is
        return []


def damaged(application: str) -> ParseFailed:
    """The error for a file that gives nothing."""
    return ParseFailed(
        "The file is damaged or cut off.",
        advice=f"Fetch it again, or open and save it in {application}.",
    )
