"""Running headers, footers and page numbers of a PDF."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from tasks.parsing.pdf_lines import Line, Page

MARGIN = 0.12
"""Share of a page's height, at its top and its bottom, where running lines are."""

MIN_PAGES = 3
_FEW_PAGES = 4
MIN_SHARE = 0.6
_LINES_PER_MARGIN = 3
_PLACE_PT = 4.0
_STEADY = 0.7
_LONG_LINE = 20
_PITCH = 1.6
_DIGITS = re.compile(r"\d+")

_Key = tuple[str, bool, int]


def body_lines(pages: Sequence[Page]) -> list[Line]:
    """All lines but those that repeat, digits aside, at one place of most of the pages.

    Of three pages it must be all, of two only lines that count the pages are taken out; pages
    without text (scans) do not speak against a running line. Type larger than the body's is
    never taken for one: it may be a chapter's title on each page.
    """
    lines = [line for page in pages for line in page.lines]
    largest = 1.05 * body_size(lines)
    where: dict[_Key, dict[int, Line]] = defaultdict(dict)
    for page in pages:
        for line in _margin_lines(page):
            if line.size <= largest:
                for key in _keys(line, page):
                    where[key][page.number] = line
    running: set[int] = set()
    written = sum(bool(page.lines) for page in pages)
    for found in where.values():
        if _is_running(found, written, is_short=len(pages) < MIN_PAGES):
            running.update(id(line) for line in _repeated(found))
    running -= {id(line) for page in pages for line in _inside_text(page, running)}
    return [line for line in lines if id(line) not in running] or lines


def body_size(lines: Iterable[Line]) -> float:
    """The type size of most of the text, to half a point; 0 without lines."""
    chars: Counter[int] = Counter()
    for line in lines:
        chars[round(line.size * 2)] += len(line.text)
    return chars.most_common(1)[0][0] / 2 if chars else 0.0


def _margin_lines(page: Page) -> list[Line]:
    by_height = sorted(page.lines, key=lambda line: line.bottom)
    low = [x for x in by_height[:_LINES_PER_MARGIN] if x.top < page.height * MARGIN]
    high = [x for x in by_height[-_LINES_PER_MARGIN:] if x.bottom > page.height * (1 - MARGIN)]
    return low + high


def _inside_text(page: Page, running: set[int]) -> Iterator[Line]:
    """Of the running lines long ones that go on with text further out: the same sentence on each page."""
    by_height = sorted(page.lines, key=lambda line: line.bottom)
    for inner, outer in (*pairwise(by_height), *pairwise(by_height[::-1])):
        is_outwards = (outer.bottom > inner.bottom) == (inner.bottom > page.height / 2)
        is_text = id(inner) in running and id(outer) not in running and len(inner.text) >= _LONG_LINE
        is_near = abs(outer.bottom - inner.bottom) < _PITCH * inner.size and abs(outer.left - inner.left) < 1
        if is_outwards and is_text and is_near and abs(outer.size - inner.size) < 0.5:
            yield inner


def _keys(line: Line, page: Page) -> Iterator[_Key]:
    """Place with the text without its numbers, and with its number relative to the page's.

    The first finds a repeated title, the second page numbers beside changing titles.
    Places are given twice, half a step apart, so that no step divides equal ones.
    """
    at_top = line.bottom > page.height / 2
    place = (page.height - line.bottom if at_top else line.bottom) / _PLACE_PT
    numbers = [int(number[:9]) for number in _DIGITS.findall(line.text)]
    offsets = {number - page.number for number in (*numbers[:1], *numbers[-1:])}
    for text in (_without_numbers(line), *(f"\0{offset}" for offset in offsets)):
        yield text, at_top, 2 * int(place)
        yield text, at_top, 2 * int(place + 0.5) + 1


def _without_numbers(line: Line) -> str:
    return _DIGITS.sub("#", " ".join(line.text.split()))


def _repeated(found: dict[int, Line]) -> Iterator[Line]:
    """Lines whose words stand on another page too: a question with its number does not."""
    by_words: dict[str, dict[int, Line]] = defaultdict(dict)
    for page, line in found.items():
        by_words[_without_numbers(line)][page] = line
    for same in by_words.values():
        if len(same) > 1 and _are_steady(same):
            yield from same.values()


def _is_running(found: dict[int, Line], pages: int, *, is_short: bool) -> bool:
    """Whether the lines, by page, are one running line of so many pages with text."""
    if pages < _FEW_PAGES:
        return pages > 1 and len(found) == pages and (not is_short or _counts_pages(found))
    if len(found) >= max(3, MIN_SHARE * pages):
        return True
    # A title on each second page of a book: even and odd pages have their own.
    one_side = len({number % 2 for number in found}) == 1
    return one_side and len(found) >= max(3, MIN_SHARE * pages / 2)


def _are_steady(found: dict[int, Line]) -> bool:
    """Whether each number in the lines stays or goes up with the pages: others are content.

    Records that fill a page each, and footnotes, differ by their numbers only.
    """
    pages = sorted(found)
    columns = zip(*([int(n[:9]) for n in _DIGITS.findall(found[page].text)] for page in pages), strict=False)
    return all(_is_steady(pages, column) for column in columns)


def _is_steady(pages: Sequence[int], numbers: Sequence[int]) -> bool:
    steps = [(q - p, b - a) for (p, q), (a, b) in zip(pairwise(pages), pairwise(numbers), strict=True)]
    return sum(up in (0, on) for on, up in steps) >= _STEADY * len(steps)


def _counts_pages(found: dict[int, Line]) -> bool:
    """Whether some number in the lines goes up by one from page to page."""
    numbers = [[int(n[:9]) for n in _DIGITS.findall(found[page].text)] for page in sorted(found)]
    columns = zip(*numbers, strict=False)
    return any(all(b - a == 1 for a, b in pairwise(column)) for column in columns)
