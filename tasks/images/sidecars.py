"""An image with the file beside it that says what it shows, as one item: a bundle.

A bundle is a mark, the kind and the size of the sidecar, the sidecar, then the image. Its bytes change
where either file does, so an image is compared, moved, kept and purged together with its caption. The
sidecar's name is not in it: both files renamed are the same bundle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.document import Metadata
from schemas.errors import ParseFailed
from tasks.parsing.dates import parse_date
from tasks.parsing.encodings import bom_encoding, is_binary

BUNDLE_MAGIC = b"\0revector image\n"
"""No image starts with a NUL but icons and ISO media, which go on otherwise; no text does."""

HEADER_BYTES = 32
SIDECAR_SUFFIXES = (".json", ".txt", ".caption")
"""In the order in which they win."""

MAX_SIDECAR_BYTES = 1_000_000

CLASS = "class"
"""The free fact that names an image's class, in a sidecar, a path template, and where it is stored."""

_CAPTIONS = ("caption", "text", "description")
_DATES = ("date", "authored_at", "created")
_TAGS = ("tags", "keywords")


class Bundle(NamedTuple):
    """The parts of a bundle; without a sidecar its suffix is "" and it is None."""

    image: bytes
    suffix: str
    sidecar: bytes | None


@dataclass(frozen=True, slots=True)
class SidecarText:
    """What a sidecar says of its image."""

    caption: str
    metadata: Metadata


def bundle_header(suffix: str, size: int) -> bytes:
    """The `HEADER_BYTES` before a sidecar of so many bytes; the suffix is one of `SIDECAR_SUFFIXES`."""
    return BUNDLE_MAGIC + suffix.encode().ljust(8, b"\0") + size.to_bytes(8, "big")


def split_bundle(data: bytes) -> Bundle:
    """The image and its sidecar; a plain image is all image.

    Raises:
        ParseFailed: the bundle is cut off.
    """
    if not data.startswith(BUNDLE_MAGIC):
        return Bundle(data, "", None)
    start = len(BUNDLE_MAGIC)
    suffix = data[start : start + 8].rstrip(b"\0").decode("ascii", "replace")
    size = int.from_bytes(data[start + 8 : HEADER_BYTES], "big")
    if len(data) < HEADER_BYTES + size:
        raise ParseFailed(
            "The image and its sidecar were stored incompletely.", advice="Ingest the file again."
        )
    end = HEADER_BYTES + size
    return Bundle(data[end:], suffix, data[HEADER_BYTES:end])


def read_sidecar(suffix: str, data: bytes) -> SidecarText:
    """What a sidecar says: all of a text is the caption; of JSON its members by their names.

    The caption is `caption`, else `text`, else `description`. `title`, `author`, `date` and `tags` (or
    `keywords`: a list, or a string with commas) are metadata, `class` is the image's class; any other string,
    number or truth value goes to `extra`, and so does a date that cannot be read. Names count in any case.

    Raises:
        ParseFailed: it is over `MAX_SIDECAR_BYTES`, no text, or no JSON object.
    """
    if len(data) > MAX_SIDECAR_BYTES:
        raise _refused(suffix, f"has {len(data):,} bytes, the limit is {MAX_SIDECAR_BYTES:,}")
    text = _clean(_decode(suffix, data).removeprefix("\ufeff"))
    if suffix != ".json":
        return SidecarText(text, Metadata())
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _refused(suffix, f"is no JSON ({type(exc).__name__})") from exc
    if not isinstance(found, dict):
        raise _refused(suffix, "is JSON, but no object")
    return _from_members(suffix, found)


def _decode(suffix: str, data: bytes) -> str:
    """UTF-8, what a mark names, or Korean in CP949: a caption is too short to guess any other by."""
    if is_binary(data):
        raise _refused(suffix, "is no text")
    try:
        return data.decode(bom_encoding(data[:4]) or "utf-8")
    except UnicodeError:
        pass
    try:
        text = data.decode("cp949")
    except UnicodeError as exc:
        raise _refused(suffix, "is neither UTF-8 nor CP949") from exc
    letters = [letter for letter in text if not letter.isascii() and letter.isalpha()]
    hangul = [
        letter for letter in letters if "\uac00" <= letter <= "\ud7a3" or "\u3131" <= letter <= "\u318e"
    ]
    # Japanese texts decode to rare syllables, Chinese ones to Chinese letters too
    common = [letter for letter in hangul if all(byte >= 0xA1 for byte in letter.encode("cp949"))]
    if len(hangul) < len(letters) or 2 * len(common) < len(hangul):
        raise _refused(suffix, "is neither UTF-8 nor Korean in CP949")
    return text


def _from_members(suffix: str, found: Mapping[str, Any]) -> SidecarText:
    left = {str(name).casefold(): (str(name), value) for name, value in found.items() if value is not None}

    def take(*names: str) -> Any:
        return next((left.pop(name)[1] for name in names if name in left), None)

    caption, title, author = (
        _as_text(suffix, name, take(name, *others)) for name, *others in (_CAPTIONS, ("title",), ("author",))
    )
    date = next((name for name in _DATES if name in left and parse_date(left[name][1])), None)
    authored_at = parse_date(take(date)) if date else None
    tags = tuple(dict.fromkeys(tag for name in _TAGS for tag in _as_tags(suffix, name, take(name))))
    label = _as_text(suffix, CLASS, take(CLASS))
    if "\n" in label:
        raise _refused(suffix, "names several classes")
    scalars = {name: value for name, value in left.values() if isinstance(value, str | int | float)}
    extra = {_clean(name): _scalar(value) for name, value in scalars.items()}
    extra |= {CLASS: label} if label else {}
    return SidecarText(caption, Metadata(title or None, author or None, authored_at, tags=tags, extra=extra))


def _as_text(suffix: str, name: str, value: Any) -> str:
    """A string, a number, or a list of such, one a line."""
    if isinstance(value, list) and all(isinstance(part, str | int | float) for part in value):
        return "\n".join(map(_scalar, value))
    if value is None or isinstance(value, str | int | float):
        return _scalar(value)
    raise _refused(suffix, f"has a {name} that is no text")


def _as_tags(suffix: str, name: str, value: Any) -> list[str]:
    parts = value.replace(";", ",").split(",") if isinstance(value, str) else value
    parts = [parts] if isinstance(parts, int | float) else parts or []
    if not isinstance(parts, list) or not all(isinstance(part, str | int | float) for part in parts):
        raise _refused(suffix, f"has {name} that are no list of text")
    return [tag for part in parts if (tag := _scalar(part))]


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else _clean(str(value))


def _clean(text: str) -> str:
    """Without what no database takes: NULs, and halves of characters."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()


def _refused(suffix: str, what: str) -> ParseFailed:
    return ParseFailed(
        f"The image's sidecar ({suffix}) {what}.",
        advice="Correct the file beside the image, or delete it.",
        sidecar=suffix,
    )
