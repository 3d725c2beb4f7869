"""The one way to open an image: checked before it is decoded, and given as a person sees it."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from schemas.errors import DocumentError, EmptyDocument, FetchFailed, ParseFailed, UnsupportedFormat
from tasks.images.colours import to_rgb
from tasks.images.sidecars import split_bundle
from tasks.parsing.kinds import PILLOW_FORMATS, advice_for
from tasks.parsing.sniff import HEAD_BYTES, choose_parser, kind_by_magic

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
"""Of one frame: A3 at 600 dpi has 70 million; decoded to four channels 100 million take 400 MB."""

MAX_FRAMES = 1000
MIN_SIDE = 2
"""Pixels; what is thinner (a tracking pixel, a ruler) shows one colour or a line of them."""

_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
    7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip


class _Quiet:
    """No warnings while any thread is inside: `warnings.catch_warnings` would undo another thread's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._caught.__exit__(None, None, None)


_quiet = _Quiet()


def open_image(data: bytes | Path, *, target: int | None = None) -> Image.Image:
    """The first frame, as a person sees it: RGB, upright, on white where it is transparent.

    Of a HEIF file its primary image. Nothing of the file is left in `info`: it needs no turning again.

    Args:
        data: the file, or its path; with the sidecar in front of it or without.
        target: pixels of the shorter side that are needed. A large JPEG is then decoded at a half, a
            quarter or an eighth of its size, never to less than that.

    Raises:
        UnsupportedFormat: it is no image, or of a kind that is not read.
        EmptyDocument: it has no bytes, or a side of less than two pixels.
        ParseFailed: it is damaged, cut off, or larger than `MAX_PIXELS`.
        FetchFailed: the path cannot be read.
    """
    with opened(split_bundle(_read(data)).image) as image:
        require_size(image)
        return as_seen(image, target=target)


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The image, its size checked, not decoded; whatever Pillow raises inside becomes `ParseFailed`.

    Raises:
        UnsupportedFormat: it is no image, or of a kind that is not read.
        EmptyDocument: it has no bytes.
        ParseFailed: it is damaged, cut off, or larger than `MAX_PIXELS`.
    """
    formats = _formats(data[:HEAD_BYTES])
    from PIL import Image

    _register_heif()
    try:
        # warnings are of size, which `check_pixels` looks at, and of odd metadata
        with _quiet, Image.open(io.BytesIO(data), formats=formats) as image:
            check_pixels(image)
            yield image
    except (DocumentError, MemoryError):
        raise
    except Image.DecompressionBombError as exc:  # far beyond: Pillow refuses by itself
        raise _too_large("more than 178 million") from exc
    except Exception as exc:  # Pillow's plugins raise of all kinds
        raise ParseFailed(
            f"The image is damaged or cut off ({type(exc).__name__}).",
            advice="Fetch the file again, or save it anew in an image editor, or exclude it.",
        ) from exc


def as_seen(image: Image.Image, *, target: int | None = None) -> Image.Image:
    """The current frame as `open_image` gives it; call inside of `opened`.

    The orientation is not left to `ImageOps.exif_transpose`: it writes the other tags anew, and fails
    where one of them is damaged.
    """
    if target is not None:
        image.draft(None, (target, target))
    image.load()
    check_pixels(image)  # of HEIF: decoded, it may have another size than its header says
    turn = _TURNS.get(_orientation(image))
    shown = to_rgb(image)
    if turn is not None:
        from PIL.Image import Transpose

        shown = shown.transpose(Transpose[turn])
    elif shown is image:
        shown = image.copy()
    shown.info = {}
    return shown


def require_size(image: Image.Image) -> None:
    """Raise EmptyDocument where the image is too thin to show anything."""
    if min(image.size) < MIN_SIDE:
        raise EmptyDocument(
            f"The image is too small to show anything ({image.width} x {image.height} pixels).",
            advice="Exclude it if that is as intended.",
        )


def is_turned(image: Image.Image) -> bool:
    """Whether width and height change places as the image is shown; ask once it is decoded."""
    return _orientation(image) in (5, 6, 7, 8)


def check_pixels(image: Image.Image) -> None:
    """Raise ParseFailed where the current frame has more than `MAX_PIXELS`."""
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(f"{image.width} x {image.height}")


def mime_of(image: Image.Image) -> str:
    """Media type; a JPEG with further images behind it (MPO) is a JPEG."""
    from PIL import Image

    if image.format == "MPO":
        return "image/jpeg"
    stated = getattr(image, "custom_mimetype", None) if image.format == "HEIF" else None
    return stated or Image.MIME.get(image.format or "", "image")


def count_pages(image: Image.Image) -> int:
    """Frames that can be gone to, up to `MAX_FRAMES`; 1 where the first is all that can be read."""
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


def count_frames(image: Image.Image) -> int:
    """Frames of the file as it states them, up to `MAX_FRAMES`; those of a TIFF are looked for."""
    if image.format == "TIFF":  # its directories may form a loop
        return count_pages(image)
    frames = 1
    with suppress(EOFError, ValueError, OSError, SyntaxError):
        frames = int(getattr(image, "n_frames", 1))
    return max(1, min(frames, MAX_FRAMES))


def _orientation(image: Image.Image) -> int:
    """The EXIF tag, 1 where there is none or it cannot be read: the pixels are whole all the same."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # damaged EXIF raises of all kinds
        return 1


def _formats(head: bytes) -> tuple[str, ...]:
    """Pillow's names of what the file may be: no other of its plugins is let near it."""
    kind = kind_by_magic(head)
    if kind is None or kind not in PILLOW_FORMATS:
        _refuse(kind, head)
    if kind == "AVIF image":
        _require_avif()
    return PILLOW_FORMATS[kind]


def _refuse(kind: str | None, head: bytes) -> NoReturn:
    """Raise what is wrong with a file that is no image: empty, or of another kind."""
    if kind is None:
        try:
            kind = choose_parser(head, "")
        except UnsupportedFormat as error:
            kind = str(error.facts.get("format", "unknown"))
        except EmptyDocument:
            raise
        except DocumentError:
            kind = "document"
    is_image = kind.endswith("image")
    raise UnsupportedFormat(
        f"Images of this kind are not read: {kind}." if is_image else f"The file is no image but: {kind}.",
        advice=advice_for(kind) if is_image else "Exclude it, or put it into a collection of documents.",
        format=kind,
    )


def _require_avif() -> None:
    from PIL import features

    if not features.check("avif"):
        raise UnsupportedFormat(
            "AVIF images are not read: Pillow was built without them.",
            advice="Install Pillow from its wheel, or save the image as JPEG or PNG.",
            format="AVIF image",
        )


@cache
def _register_heif() -> None:
    import pi_heif

    # what lies beside the image (thumbnails, depth) is not looked at
    pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def _read(data: bytes | Path) -> bytes:
    if isinstance(data, bytes):
        return data
    try:
        return data.read_bytes()
    except OSError as exc:
        raise FetchFailed(
            f"The file could not be read: {exc.strerror}.",
            advice="Check its permissions and that it still exists.",
        ) from exc


def _too_large(pixels: str) -> ParseFailed:
    return ParseFailed(
        f"The image has {pixels} pixels, the limit is {MAX_PIXELS // 10**6} million.",
        advice="Save it smaller (300 dpi are enough to be read), or exclude it.",
    )
