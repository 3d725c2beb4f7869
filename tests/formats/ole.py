"""Write an OLE compound file (for HWP and Outlook fixtures).

Source: [MS-CFB] "Compound File Binary File Format", version 3 (sectors of 512 bytes).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

SECTOR, MINI, CUTOFF = 512, 64, 4096
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
STORAGE, STREAM, ROOT = 1, 2, 5


@dataclass
class _Entry:
    name: str
    kind: int
    data: bytes = b""
    left: int = FREE
    right: int = FREE
    child: int = FREE
    start: int = END
    children: dict[str, _Entry] = field(default_factory=dict)


def compound_file(streams: dict[str, bytes]) -> bytes:
    """A compound file with these streams; a path's parts are apart by "/"."""
    root = _Entry("Root Entry", ROOT)
    for path, data in streams.items():
        *folders, name = path.split("/")
        place = root
        for folder in folders:
            place = place.children.setdefault(folder, _Entry(folder, STORAGE))
        place.children[name] = _Entry(name, STREAM, data)
    entries = [root]
    _number(root, entries)
    return _assemble(entries)


def _number(parent: _Entry, entries: list[_Entry]) -> None:
    """Append the children, each storage's as a balanced tree of siblings in the format's order."""
    order = sorted(parent.children.values(), key=lambda e: (len(e.name), e.name.upper()))
    first = len(entries)
    entries += order

    def tree(low: int, high: int) -> int:
        if low >= high:
            return FREE
        middle = (low + high) // 2
        order[middle].left, order[middle].right = tree(low, middle), tree(middle + 1, high)
        return first + middle

    parent.child = tree(0, len(order))
    for entry in order:
        _number(entry, entries)


def _assemble(entries: list[_Entry]) -> bytes:
    sectors: list[bytes] = []
    fat: list[int] = []
    mini, mini_fat = b"", []

    def put(data: bytes) -> int:
        if not data:
            return END
        count, first = -(-len(data) // SECTOR), len(sectors)
        sectors.extend(data[i * SECTOR : (i + 1) * SECTOR].ljust(SECTOR, b"\0") for i in range(count))
        fat.extend([*range(first + 1, first + count), END])
        return first

    for entry in entries:
        if entry.kind == STREAM and 0 < len(entry.data) < CUTOFF:
            count, entry.start = -(-len(entry.data) // MINI), len(mini_fat)
            mini += entry.data.ljust(count * MINI, b"\0")
            mini_fat += [*range(entry.start + 1, entry.start + count), END]
        elif entry.kind == STREAM:
            entry.start = put(entry.data)
    entries[0].data, entries[0].start = mini, put(mini)
    table = struct.pack(f"<{len(mini_fat)}I", *mini_fat)
    mini_table = put(table.ljust(-(-len(table) // SECTOR) * SECTOR, b"\xff"))
    directory = put(b"".join(map(_record, entries)).ljust(-(-len(entries) // 4) * SECTOR, b"\0"))
    own = 1
    while len(fat) + own > own * (SECTOR // 4):
        own += 1
    first = len(sectors)
    fat += [FAT] * own
    packed = struct.pack(f"<{len(fat)}I", *fat).ljust(own * SECTOR, b"\xff")
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6, 0, own, directory, 0, CUTOFF,
        mini_table, -(-len(table) // SECTOR), END, 0,
    )  # fmt: skip
    header += struct.pack(f"<{own}I", *range(first, first + own)).ljust(109 * 4, b"\xff")
    return header + b"".join(sectors) + packed


def _record(entry: _Entry) -> bytes:
    name = entry.name.encode("utf-16-le") + b"\0\0"
    return struct.pack(
        "<64sHBBIII16xI8x8xIQ",
        name, len(name), entry.kind, 1, entry.left, entry.right, entry.child, 0, entry.start,
        len(entry.data),
    )  # fmt: skip
