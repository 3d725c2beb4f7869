"""The part of a hit worth reading."""

from __future__ import annotations

from schemas.grams import text_grams

STEP = 40


def snippet(text: str, query: str, width: int = 240) -> str:
    """The stretch of about `width` characters that holds most of the query's grams.

    >>> snippet("a " * 300 + "the heron stands " + "b " * 300, "heron", 40)
    '... heron stands b b b b b b b b b b b ...'
    """
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    wanted = text_grams(query)
    starts = range(0, len(text) - width + STEP, STEP)
    best = max(starts, key=lambda start: (len(wanted & text_grams(text[start : start + width])), -start))
    start, end = best, min(best + width, len(text))
    if start > 0:
        start = text.find(" ", start, end) + 1 or start
    if end < len(text):
        end = text.rfind(" ", start, end) if " " in text[start:end] else end
    return f"{'... ' if start else ''}{text[start:end]}{' ...' if end < len(text) else ''}"
