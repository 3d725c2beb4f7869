"""The colours of a decoded image as a screen shows them: RGB of 8 bits, on white paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in RGB; itself where it is that already.

    Transparent parts are white. Greys of more than 8 bits are scaled, where Pillow would clip them: those
    of a PNG by their full range, which the format states; others (scanners and microscopes fill 12 bits of
    16, a float has no range) from their least to their greatest value.
    """
    if image.mode.startswith(("I", "F")):
        image = _to_8_bits(image)
    elif image.mode == "LAB":
        image = _from_lab(image)
    if image.has_transparency_data:
        return _on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode == "La":  # Pillow has no direct way
        image = image.convert("LA")
    layers = image if image.mode == "RGBA" else image.convert("RGBA")
    paper = Image.new("RGB", layers.size, "white")
    paper.paste(layers, mask=layers)
    return paper


def _to_8_bits(image: Image.Image) -> Image.Image:
    from PIL import Image

    values = np.asarray(image)
    is_full = image.mode.startswith("I;16") or image.format == "PNG"
    if is_full and image.format != "TIFF":
        grey = Image.fromarray((np.clip(values, 0, 65535) // 257).astype(np.uint8))
    else:
        grey = Image.fromarray(_stretch(values))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.paste(255, mask=Image.fromarray(values == transparent))
    return grey


def _stretch(values: NDArray[Any]) -> NDArray[np.uint8]:
    """0 to 255 for the least to the greatest; what is no number is black, without any range all is."""
    scaled = values.astype(np.float32)
    finite = np.isfinite(scaled)
    scaled[~finite] = scaled[finite].min() if finite.any() else 0
    low, high = scaled.min(), scaled.max()
    scaled /= 2  # the span of the largest floats is none
    scaled -= low / 2
    scaled *= 255 / max(float(high) / 2 - float(low) / 2, 1e-30)
    return scaled.astype(np.uint8)


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(*profiles, "LAB", "RGB")
    shown = ImageCms.applyTransform(image, transform)
    assert shown is not None  # it is None only where the image itself is changed
    return shown
