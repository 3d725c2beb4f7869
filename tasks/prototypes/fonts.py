"""A font for the names of classes in a figure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

PREFERRED: Final = (
    "NanumGothic", "Noto Sans CJK KR", "Noto Sans KR", "NanumBarunGothic", "Malgun Gothic", "AppleGothic",
    "Apple SD Gothic Neo", "Pretendard", "UnDotum", "Baekmuk Gulim", "Gulim", "Dotum", "Batang",
)  # fmt: skip
"""Fonts with Hangul of Linux, Windows and macOS; no other is searched for, there may be thousands."""
ALWAYS: Final = "DejaVu Sans"
"""Comes with matplotlib."""


@cache
def find_families() -> tuple[str, ...]:
    """Families to write names in, the first that has a letter is taken; searched once a process."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return (ALWAYS, *[name for name in PREFERRED if name in installed][:1])


def name_checker() -> Callable[[str], bool]:
    """Says of a name whether the families have all its letters; what they have not would be boxes."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts: list[Any] = [get_font(findfont(FontProperties(family=[name]))) for name in find_families()]
    return lambda name: all(any(font.get_char_index(ord(letter)) for font in fonts) for letter in name)
