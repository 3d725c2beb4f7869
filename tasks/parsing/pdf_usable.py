"""Which pages of a PDF have no usable text and show something: those that need OCR."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.parsing.pdf_lines import Page
from tasks.parsing.pdf_margins import MARGIN

if TYPE_CHECKING:
    import pypdfium2

LITTLE_TEXT = 400
"""Characters; a page with more of them is text, whatever else it shows."""

LITTLE_BODY = 100
"""Characters between the margins under which a page with a large image is a scan."""

LARGE_IMAGE = 0.5
SMALL_IMAGE = 0.005
"""Shares of the page's area."""

MIN_SEGMENTS = 60
"""Path segments that may be outlined letters; frames and rules have fewer."""

MAX_OBJECTS = 2000
_MAX_DEPTH = 4
_MAX_BAD_SHARE = 0.2
_MAX_SIGN_SHARE = 0.6
_MIN_SIGNS = 20

# What a font without a map to Unicode gives: controls, private use, replacement characters.
_BAD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufff0-\ufffd\U000f0000-\U0010ffff]")
_CID = re.compile(r"\(cid:\d+\)")
_SIGN = re.compile(r"[^\w\s.·…_=*-]")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows beside text that can be taken out.

    Attributes:
        images: share of the page's area under images, at most 1.
        segments: of paths.
        has_text: whether it sets visible letters, readable or not.
        is_empty: whether it has no object at all.
    """

    images: float = 0.0
    segments: int = 0
    has_text: bool = False
    is_empty: bool = True


def is_garbage(text: str) -> bool:
    """Whether the text is that of a font without a map to Unicode.

    A few bullets from a symbol font do not make a page garbage, nor do dotted leaders.
    """
    chars = len(text) - sum(map(text.count, " \r\n\t"))
    if not chars:
        return False
    if len(_BAD.findall(text)) > _MAX_BAD_SHARE * chars:
        return True
    if "(cid:" in text and sum(map(len, _CID.findall(text))) > 0.5 * chars:
        return True
    return chars >= _MIN_SIGNS and len(_SIGN.findall(text)) > _MAX_SIGN_SHARE * chars


def has_little_text(page: Page) -> bool:
    """Whether the page's objects must be looked at: a page with more text is no scan."""
    return sum(len(line.text) for line in page.lines) < LITTLE_TEXT


def is_scan(page: Page, shown: Shown, *, garbage: bool) -> bool:
    """Whether OCR should read the page: it shows something, and hardly any of it is text."""
    if garbage or not page.lines:
        return shown.images >= SMALL_IMAGE or shown.segments >= MIN_SEGMENTS or shown.has_text
    return shown.images >= LARGE_IMAGE and _body_chars(page) < LITTLE_BODY


def look_at(page: pypdfium2.PdfPage) -> Shown:
    """What the first objects of the page show; a page has millions of them only to harm."""
    from pypdfium2 import raw

    left, bottom, right, top = page.get_bbox()
    area = max((right - left) * (top - bottom), 1.0)
    images, segments, has_text, is_empty = 0.0, 0, False, True
    for item, outer in _objects(page):
        is_empty = False
        kind = raw.FPDFPageObj_GetType(item)
        if kind == raw.FPDF_PAGEOBJ_IMAGE:
            images += _overlap(outer, (left, bottom, right, top)) / area
        elif kind == raw.FPDF_PAGEOBJ_PATH:
            segments += max(raw.FPDFPath_CountSegments(item), 0)
        elif kind == raw.FPDF_PAGEOBJ_TEXT:
            mode = raw.FPDFTextObj_GetTextRenderMode(item)
            has_text = has_text or mode != raw.FPDF_TEXTRENDERMODE_INVISIBLE
    return Shown(min(images, 1.0), segments, has_text, is_empty)


def _objects(page: pypdfium2.PdfPage) -> Iterator[tuple[object, object]]:
    """Each object with the one on the page that it lies in: places are known of the latter."""
    from pypdfium2 import raw

    count = min(raw.FPDFPage_CountObjects(page.raw), MAX_OBJECTS)
    pending = [(raw.FPDFPage_GetObject(page.raw, i), None, 0) for i in reversed(range(count))]
    left = MAX_OBJECTS
    while pending and left:
        left -= 1
        item, outer, depth = pending.pop()
        if not item:
            continue
        yield item, outer or item
        if raw.FPDFPageObj_GetType(item) == raw.FPDF_PAGEOBJ_FORM and depth < _MAX_DEPTH:
            inner = min(max(raw.FPDFFormObj_CountObjects(item), 0), left)
            pending += [(raw.FPDFFormObj_GetObject(item, i), outer or item, depth + 1) for i in range(inner)]


def _overlap(item: object, box: tuple[float, float, float, float]) -> float:
    from pypdfium2 import raw

    sides = [ctypes.c_float() for _ in range(4)]
    if not raw.FPDFPageObj_GetBounds(item, *map(ctypes.byref, sides)):
        return 0.0
    left, bottom, right, top = (side.value for side in sides)
    width = min(right, box[2]) - max(left, box[0])
    height = min(top, box[3]) - max(bottom, box[1])
    return max(width, 0.0) * max(height, 0.0)


def _body_chars(page: Page) -> int:
    low, high = page.height * MARGIN, page.height * (1 - MARGIN)
    return sum(len(line.text) for line in page.lines if line.top > low and line.bottom < high)
