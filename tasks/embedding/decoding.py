"""From image files to the pixels that an image model takes, equal to those of its library."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DocumentError, EmbeddingFailed
from tasks.embedding.image_card import ImageCard

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]

# A JPEG may be decoded small, but not to less than this times the size: 3 took 0.36 of the time of
# whole decoding and kept a cosine of 0.9995 to it, 2 took 0.29 and 0.9994, 1 0.26 and 0.997 (2026-11).
# Of 48 photos full of noise, small-clip: median 0.9993, least 0.996; 8 had the same least, slower.
_OVERSAMPLING = 3

# The library resizes all of an image and then crops: of a thin one it makes gigabytes. Over this many
# times the model's pixels only what is kept is resized: the same but for roundings (it may change the
# order of rows and columns).
_MAX_STRETCH = 8


def load_rgb(path: Path, target: int) -> Image.Image:
    """The image in a file as a person sees it; see `tasks.images.opening.open_image`."""
    from tasks.images.opening import open_image

    return open_image(path, target=target)


def decode(paths: Sequence[Path], card: ImageCard) -> Pixels:
    """(N, height, width, 3) uint8: the images as the model sees them, before values are scaled.

    Raises:
        EmbeddingFailed: a file cannot be decoded; it names the file by its hash.
    """
    height, width = card.image_size
    pixels = np.empty((len(paths), height, width, 3), dtype=np.uint8)
    target = max(card.image_size) * _OVERSAMPLING
    for row, path in enumerate(paths):
        try:
            pixels[row] = fit(load_rgb(path, target), card)
        except (DocumentError, OSError, ValueError) as exc:
            raise _not_decoded(path, exc) from exc
    return pixels


def fit(image: Image.Image, card: ImageCard) -> Pixels:
    """(height, width, 3) uint8: an RGB image resized and cropped, padded or stretched to the model's size."""
    if card.resize_mode == "shortest":
        return _cover(image, card)
    if card.resize_mode == "longest":
        return _contain(image, card)
    height, width = card.image_size
    return _resample(image, (width, height), (0, 0, *image.size), card)


def _cover(image: Image.Image, card: ImageCard) -> Pixels:
    height, width = card.image_size
    full_width, full_height = _cover_size(image.size, card)
    left, top = round((full_width - width) / 2.0), round((full_height - height) / 2.0)
    if full_width * full_height <= _MAX_STRETCH * width * height:
        whole = _resample(image, (full_width, full_height), (0, 0, *image.size), card)
        return whole[top : top + height, left : left + width]
    x, y = image.width / full_width, image.height / full_height
    box = (left * x, top * y, min((left + width) * x, image.width), min((top + height) * y, image.height))
    return _resample(image, (width, height), box, card)


def _cover_size(size: tuple[int, int], card: ImageCard) -> tuple[int, int]:
    """(width, height) of the whole image where it just covers the model, rounded as the library does."""
    (width, height), (target_height, target_width) = size, card.image_size
    if target_height != target_width:  # open_clip.transform.ResizeKeepRatio
        ratio = min(height / target_height, width / target_width)
        return round(width / ratio), round(height / ratio)
    if width <= height:  # torchvision.transforms.functional._compute_resized_output_size
        return target_width, int(target_width * height / width)
    return int(target_height * width / height), target_height


def _contain(image: Image.Image, card: ImageCard) -> Pixels:
    height, width = card.image_size
    ratio = max(image.height / height, image.width / width)
    inner = max(1, round(image.width / ratio)), max(1, round(image.height / ratio))
    pixels = np.full((height, width, 3), card.fill_color, dtype=np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    resized = _resample(image, inner, (0, 0, *image.size), card)
    pixels[top : top + inner[1], left : left + inner[0]] = resized
    return pixels


def _resample(image: Image.Image, size: tuple[int, int], box: Box, card: ImageCard) -> Pixels:
    """(height, width, 3): the box of the image, (left, top, right, bottom), in the size (width, height)."""
    from PIL.Image import Resampling

    # Non-square models: the library resizes with its default, whatever the configuration says.
    always_bicubic = card.resize_mode == "shortest" and card.image_size[0] != card.image_size[1]
    bicubic = always_bicubic or card.interpolation == "bicubic"
    return np.asarray(image.resize(size, Resampling.BICUBIC if bicubic else Resampling.BILINEAR, box=box))


def _not_decoded(path: Path, error: Exception) -> EmbeddingFailed:
    try:
        with path.open("rb") as file:
            name = f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:
        name = path.name
    reason = error.message if isinstance(error, DocumentError) else f"{type(error).__name__}: {error}"
    return EmbeddingFailed(
        f"An image that was readable before cannot be decoded now ({name}): {reason}",
        advice="Check that nothing else writes to revector's home, then run again.",
    )
