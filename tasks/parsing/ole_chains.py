"""Whether the chains of an OLE compound file come to an end.

calamine follows them without counting: a chain that goes in circles takes memory until the
process is ended, and a stream that is said to be larger than the file is given room before.
Source: [MS-CFB] 2.1 to 2.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from olefile import OleFileIO

_LAST_SECTOR = 0xFFFFFFFA
"""Numbers from here on end a chain or name no sector."""
_DIFAT_START, _SECTOR_SHIFT = 68, 30
_ENTRY_BYTES, _ENTRY_KIND, _ENTRY_SIZE = 128, 66, 120
_WITH_CONTENT = (2, 5)
"""Kinds of directory entries: a stream, and the root with the small streams. Others hold no size."""


def is_endless(ole: OleFileIO, data: bytes) -> bool:
    """Whether a chain goes in circles, or a stream claims more bytes than the whole file has.

    Time and memory are linear in the file.
    """
    ole.loadminifat()
    return (
        _has_circle(ole.fat)
        or _has_circle(ole.minifat or ())
        or _lists_in_circles(data)
        or _is_oversized(ole.directory_fp.getvalue(), len(data))
    )


def _has_circle(following: Sequence[int]) -> bool:
    """Whether one comes back to where one was; `following` tells of each sector the next one."""
    walks = [0] * len(following)
    for walk, start in enumerate(range(len(following)), 1):
        at = start
        while at < len(following) and not walks[at]:
            walks[at] = walk
            at = following[at]
        if at < len(following) and walks[at] == walk:
            return True
    return False


def _lists_in_circles(data: bytes) -> bool:
    """Whether the sectors that list those of the allocation table do."""
    size = 1 << min(int.from_bytes(data[_SECTOR_SHIFT : _SECTOR_SHIFT + 2], "little"), 16)
    at = int.from_bytes(data[_DIFAT_START : _DIFAT_START + 4], "little")
    seen: set[int] = set()
    while at < _LAST_SECTOR and (end := (at + 2) * size) <= len(data):
        if at in seen:
            return True
        seen.add(at)
        at = int.from_bytes(data[end - 4 : end], "little")
    return False


def _is_oversized(directory: bytes, most: int) -> bool:
    for at in range(0, len(directory) - _ENTRY_BYTES + 1, _ENTRY_BYTES):
        size = int.from_bytes(directory[at + _ENTRY_SIZE : at + _ENTRY_SIZE + 4], "little")
        if directory[at + _ENTRY_KIND] in _WITH_CONTENT and size > most:
            return True
    return False
