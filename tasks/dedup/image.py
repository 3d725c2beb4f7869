"""Signatures of images: a perceptual hash that survives resizing, re-encoding and slight changes of light.

Source: the DCT hash of the ImageHash library at 16 x 16 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.duplicate import BANDS, Signature
from tasks.dedup.signature import make_band_salt

if TYPE_CHECKING:
    from PIL import Image

HASH_SIDE: Final = 16
MIN_CONTRAST: Final = 8
"""Grey levels between the darkest and the brightest part of the small image that is hashed."""
MIN_BITS: Final = 64
"""An image has about half of its 256 bits set; one far from it has next to no structure."""

_SMALL_SIDE = 64
_IMAGE_BANDS = 2


def image_signature(image: Image.Image) -> Signature:
    """The signature of an image as it is shown: turned by its EXIF tag, on white where transparent.

    An image without structure (of one colour, say) would be near to all of its like: it has
    nothing to compare, no minhash and no bands, and only an equal file is its duplicate.
    """
    import imagehash

    from tasks.dedup.kernels import hash_bands

    shown = _flatten(image)
    small = np.asarray(shown.resize((_SMALL_SIDE, _SMALL_SIDE)), np.int64)
    bits = imagehash.phash(shown, hash_size=HASH_SIDE).hash.reshape(-1)
    if np.ptp(small) < MIN_CONTRAST or not MIN_BITS <= bits.sum() <= bits.size - MIN_BITS:
        return Signature("image", b"", b"", b"", b"", 0, ())
    packed = np.packbits(bits, bitorder="little")
    bands = np.empty(BANDS, np.uint64)
    hash_bands(packed.reshape(BANDS, -1), make_band_salt(_IMAGE_BANDS), bands)
    return Signature("image", packed.tobytes(), b"", b"", b"", 0, tuple(bands.view(np.int64).tolist()))


def _flatten(image: Image.Image) -> Image.Image:
    """The image in 256 shades of grey."""
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith(("I", "F")):  # 16 bits and more: Pillow would clip them
        values = np.asarray(turned, np.float64)
        span = float(np.ptp(values)) or 1.0
        return Image.fromarray(((values - values.min()) * (255 / span)).astype(np.uint8))
    if turned.has_transparency_data:
        layers = turned.convert("RGBA")
        paper = Image.new("RGBA", layers.size, "white")
        turned = Image.alpha_composite(paper, layers)
    return turned.convert("RGB").convert("L")
