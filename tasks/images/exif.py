"""What an image says of itself: EXIF, and the text fields of a PNG."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from schemas.document import Metadata
from tasks.parsing.dates import parse_date

if TYPE_CHECKING:
    from PIL import Image

_TITLE, _AUTHOR, _DATE, _DATE_TAKEN, _EXIF = 0x010E, 0x013B, 0x0132, 0x9003, 0x8769
_XP_TITLE, _XP_AUTHOR, _XP_TAGS = 0x9C9B, 0x9C9D, 0x9C9E
_CAMERA_TITLES = ("olympus digital camera", "sony dsc", "dcim", "default", "minolta digital camera")


def read_metadata(image: Image.Image) -> Metadata:
    """Title, author, tags, and when it was taken, else written; nothing of EXIF that is damaged."""
    exif, taken = _read_exif(image)
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


def _read_exif(image: Image.Image) -> tuple[dict[int, Any], object]:
    """The tags, and the date of the shot."""
    try:
        exif = image.getexif()
        return dict(exif), exif.get_ifd(_EXIF).get(_DATE_TAKEN)
    except MemoryError:
        raise
    except Exception:  # damaged EXIF raises of all kinds; the pixels are whole all the same
        return {}, None


def _text(value: object) -> str:
    """A field as text: Windows writes UTF-16 bytes, others UTF-8 where the standard has ASCII."""
    if isinstance(value, bytes):
        return value.decode("utf-16-le", "ignore").strip("\0 ")
    if not isinstance(value, str):
        return ""
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    return value.strip("\0 ")[:1000]
