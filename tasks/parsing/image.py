"""Images: checked and described here, read by OCR (`tasks.parsing.ocr`)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from schemas.document import Metadata, ParsedDocument
from schemas.errors import EmptyDocument, ParseFailed
from tasks.parsing.dates import parse_date

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
"""Of one frame: A3 at 600 dpi has 70 million; decoded to four channels 100 million take 400 MB."""

MAX_FRAMES = 1000
MIN_SIDE = 8
"""Pixels; nothing smaller has a letter in it."""

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "MPO")
_DEFAULT_DPI = 200
_DPI = (70, 1200)
_CHECK_SIDE = 64
_TITLE, _AUTHOR, _DATE, _DATE_TAKEN, _EXIF = 0x010E, 0x013B, 0x0132, 0x9003, 0x8769
_XP_TITLE, _XP_AUTHOR, _XP_TAGS = 0x9C9B, 0x9C9D, 0x9C9E
_CAMERA_TITLES = ("olympus digital camera", "sony dsc", "dcim", "default", "minolta digital camera")


def parse(data: bytes) -> ParsedDocument:
    """No elements, but the frames to read by OCR as scans, and what the image says of itself.

    Raises:
        ParseFailed: it is damaged, cut off, or larger than any page.
        EmptyDocument: it is too small to have text.
    """
    from PIL import Image

    with _opened(data) as image:
        if min(image.size) < MIN_SIDE:
            raise EmptyDocument(
                f"The image is too small to have text ({image.width} x {image.height} pixels).",
                advice="Exclude it if that is as intended.",
            )
        mime = Image.MIME.get(image.format or "", "image")
        metadata = _metadata(image)
        frames = _count_frames(image)
        image.seek(0)
        _check(image)
    return ParsedDocument("image", mime, (), metadata, scans=tuple(range(1, frames + 1)))


def read_frame(data: bytes, number: int) -> tuple[Image.Image, int]:
    """A frame (from 1), upright as its camera meant it, and its dpi.

    Raises:
        ParseFailed: the frame is damaged or too large.
    """
    from PIL import ImageOps

    with _opened(data) as image:
        image.seek(number - 1)
        _limit(image)
        image.load()
        return ImageOps.exif_transpose(image), _dpi(image)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The image; whatever Pillow raises on damaged ones becomes `ParseFailed`."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size: `_limit` looks at it; of odd metadata
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                _limit(image)
                yield image
    except (ParseFailed, EmptyDocument, MemoryError):
        raise
    except Image.DecompressionBombError as exc:  # far beyond: Pillow refuses by itself
        raise _too_large("more than 178 million") from exc
    except Exception as exc:  # Pillow's plugins raise of all kinds
        raise ParseFailed(
            f"The image is damaged or cut off ({type(exc).__name__}).",
            advice="Fetch the file again, or save it anew in an image editor, or exclude it.",
        ) from exc


def _limit(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(f"{image.width} x {image.height}")


def _too_large(pixels: str) -> ParseFailed:
    return ParseFailed(
        f"The image has {pixels} pixels, the limit is {MAX_PIXELS // 10**6} million.",
        advice="Save it smaller (300 dpi are enough to be read), or exclude it.",
    )


def _check(image: Image.Image) -> None:
    """Decode it, a JPEG at an eighth of its size: a file that is cut off fails here."""
    image.draft("L", (_CHECK_SIDE, _CHECK_SIDE))
    image.load()


def _count_frames(image: Image.Image) -> int:
    """Pages of a TIFF, up to a limit; a moving picture counts as its first frame."""
    if image.format != "TIFF":
        return 1
    frames = 1
    while frames < MAX_FRAMES:
        try:
            image.seek(frames)
        except (EOFError, ValueError, OSError, SyntaxError):  # the last one, or a damaged directory
            break
        if image.width * image.height > MAX_PIXELS:
            break
        frames += 1
    return frames


def _dpi(image: Image.Image) -> int:
    """What the file says, where that can be true."""
    try:
        dpi = int(float(image.info.get("dpi", (0, 0))[0]))
    except (TypeError, ValueError, OverflowError, IndexError, ZeroDivisionError):
        dpi = 0
    return dpi if _DPI[0] <= dpi <= _DPI[1] else _DEFAULT_DPI


def _metadata(image: Image.Image) -> Metadata:
    """From EXIF, and from a PNG's own text fields."""
    exif = dict(image.getexif())
    taken = image.getexif().get_ifd(_EXIF).get(_DATE_TAKEN)
    info = {str(key).lower(): value for key, value in image.info.items() if isinstance(value, str)}
    title = _text(exif.get(_XP_TITLE)) or _text(exif.get(_TITLE)) or _text(info.get("title"))
    author = _text(exif.get(_XP_AUTHOR)) or _text(exif.get(_AUTHOR)) or _text(info.get("author"))
    date = _text(taken) or _text(exif.get(_DATE)) or _text(info.get("creation time"))
    tags = (tag.strip() for tag in _text(exif.get(_XP_TAGS)).replace(",", ";").split(";"))
    return Metadata(
        title=None if title.lower() in _CAMERA_TITLES else title or None,
        author=author or None,
        authored_at=parse_date(date.replace(":", "-", 2) if date[4:5] == ":" else date) if date else None,
        tags=tuple(tag for tag in tags if tag),
    )


def _text(value: object) -> str:
    """A field as text: Windows writes UTF-16 bytes, others UTF-8 where the standard has ASCII."""
    if isinstance(value, bytes):
        return value.decode("utf-16-le", "ignore").strip("\0 ")
    if not isinstance(value, str):
        return ""
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    return value.strip("\0 ")[:1000]
