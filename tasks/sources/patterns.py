"""Include and exclude globs.

A pattern without a slash is matched with the name of a file or folder at any depth; one
with a slash with the whole path below the root, where ``**`` spans folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

Match = Callable[[str, str], bool]


@cache
def compile_patterns(patterns: tuple[str, ...]) -> Match | None:
    """A function of (name, uri) that says whether any pattern matches; None for no patterns.

    >>> skip = compile_patterns((".*", "build/**"))
    >>> skip(".git", ".git"), skip("a.txt", "build/x/a.txt"), skip("a.txt", "a.txt")
    (True, True, False)
    """
    names = _union([p for p in patterns if "/" not in p])
    paths = _union([p.strip("/") for p in patterns if "/" in p])
    if names and paths:
        return lambda name, uri: bool(names.match(name) or paths.match(uri))
    if names:
        return lambda name, uri: names.match(name) is not None
    if paths:
        return lambda name, uri: paths.match(uri) is not None
    return None


def is_left_out(uri: str, *, include: tuple[str, ...], exclude: tuple[str, ...]) -> bool:
    """Whether the patterns leave a file out; a folder that is left out takes all below it along.

    >>> is_left_out(".git/config", include=(), exclude=(".*",))
    True
    >>> is_left_out("a.txt", include=("*.md",), exclude=())
    True
    """
    skip, take = compile_patterns(exclude), compile_patterns(include)
    parts = uri.split("/")
    if skip and any(skip(part, "/".join(parts[: end + 1])) for end, part in enumerate(parts)):
        return True
    return bool(take) and not take(parts[-1], uri)  # type: ignore[misc]


def _union(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("(?:" + "|".join(_translate(p) for p in patterns) + r")\Z", re.DOTALL)


def _translate(pattern: str) -> str:
    out, i = [], 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
        elif pattern.startswith("**", i):
            out.append(".*")
            i += 2
        elif pattern[i] == "*":
            out.append("[^/]*")
            i += 1
        elif pattern[i] == "?":
            out.append("[^/]")
            i += 1
        else:
            out.append(re.escape(pattern[i]))
            i += 1
    return "".join(out)
