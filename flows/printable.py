"""Names as a terminal can show them."""

from __future__ import annotations


def printable(name: str) -> str:
    r"""The name with control and other unprintable characters escaped: file names may hold any.

    >>> printable("two\nlines.txt")
    'two\\nlines.txt'
    """
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
