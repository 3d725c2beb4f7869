"""Images: checked and described here, read by OCR (`tasks.parsing.ocr`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.document import ParsedDocument
from schemas.errors import EmptyDocument
from tasks.images.exif import read_metadata
from tasks.images.opening import check_pixels, count_pages, mime_of, opened

if TYPE_CHECKING:
    from PIL import Image

MIN_SIDE = 8
"""Pixels; nothing smaller has a letter in it."""

_DEFAULT_DPI = 200
_DPI = (70, 1200)
_CHECK_SIDE = 64


def parse(data: bytes) -> ParsedDocument:
    """No elements, but the frames to read by OCR as scans, and what the image says of itself.

    Pages of a TIFF are read; a moving picture counts as its first frame.

    Raises:
        ParseFailed: it is damaged, cut off, or larger than any page.
        EmptyDocument: it is too small to have text.
    """
    with opened(data) as image:
        if min(image.size) < MIN_SIDE:
            raise EmptyDocument(
                f"The image is too small to have text ({image.width} x {image.height} pixels).",
                advice="Exclude it if that is as intended.",
            )
        frames = 1
        if image.format == "TIFF":
            frames = count_pages(image)
            image.seek(0)
        _check(image)
        mime, metadata = mime_of(image), read_metadata(image)
    return ParsedDocument("image", mime, (), metadata, scans=tuple(range(1, frames + 1)))


def read_frame(data: bytes, number: int) -> tuple[Image.Image, int]:
    """A frame (from 1), upright as its camera meant it, and its dpi.

    Raises:
        ParseFailed: the frame is damaged or too large.
    """
    from PIL import ImageOps

    with opened(data) as image:
        if number > 1:  # the first of a HEIF file need not be the one that it opens with
            image.seek(number - 1)
        check_pixels(image)
        image.load()
        return ImageOps.exif_transpose(image), _dpi(image)


def _check(image: Image.Image) -> None:
    """Decode it, a JPEG at an eighth of its size: a file that is cut off fails here."""
    image.draft("L", (_CHECK_SIDE, _CHECK_SIDE))
    image.load()


def _dpi(image: Image.Image) -> int:
    """What the file says, where that can be true."""
    try:
        dpi = int(float(image.info.get("dpi", (0, 0))[0]))
    except (TypeError, ValueError, OverflowError, IndexError, ZeroDivisionError):
        dpi = 0
    return dpi if _DPI[0] <= dpi <= _DPI[1] else _DEFAULT_DPI
