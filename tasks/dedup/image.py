"""Signatures of images: a perceptual hash that survives resizing, re-encoding and slight changes of light.

The hash sees no colours, so a small picture of them comes with it: a red shoe is no duplicate of a
blue one. Nor are images of different classes: their labels contradict each other, and both stay.

Source: the DCT hash of the ImageHash library at 16 x 16 bits.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from schemas.duplicate import BANDS, Signature
from tasks.dedup.signature import make_band_salt

if TYPE_CHECKING:
    from PIL import Image

HASH_SIDE: Final = 16
HASH_BYTES: Final = HASH_SIDE**2 // 8
COLOUR_SIDE: Final = 4
COLOUR_BYTES: Final = 3 * COLOUR_SIDE**2
CLASS_BYTES: Final = 8
"""What `Signature.minhash` of an image consists of, in this order; without a class the last is missing."""

MIN_CONTRAST: Final = 8
"""Grey levels between the darkest and the brightest part of the small image that is hashed."""
MIN_BITS: Final = 64
"""An image has about half of its 256 bits set; one far from it has next to no structure."""

_SMALL_SIDE = 64
_IMAGE_BANDS = 2


def image_signature(image: Image.Image) -> Signature:
    """The signature of an image of any mode, as it is shown: turned by its EXIF tag, on white paper."""
    from tasks.images.opening import as_seen

    return signature_of_seen(as_seen(image))


def signature_of_seen(image: Image.Image) -> Signature:
    """The signature of an upright RGB image, as `tasks.images.opening` gives it; it has no class.

    An image without structure (of one colour, say) would be near to all of its like: it has
    nothing to compare, no minhash and no bands, and only an equal file is its duplicate.
    """
    import imagehash
    from PIL.Image import Resampling

    grey = image.convert("L")
    small = np.asarray(grey.resize((_SMALL_SIDE, _SMALL_SIDE)), np.int64)
    bits = imagehash.phash(grey, hash_size=HASH_SIDE).hash.reshape(-1)
    if np.ptp(small) < MIN_CONTRAST or not MIN_BITS <= bits.sum() <= bits.size - MIN_BITS:
        return Signature("image", b"", b"", b"", b"", 0, ())
    packed = np.packbits(bits, bitorder="little")
    colours = image.resize((COLOUR_SIDE, COLOUR_SIDE), Resampling.BOX)
    return Signature("image", packed.tobytes() + colours.tobytes(), b"", b"", b"", 0, _band(packed, b""))


def with_class(signature: Signature, name: str) -> Signature:
    """The signature of the same image in a class; "" is none. One of no structure stays as it is.

    Signatures of different classes share no band but by chance, and are never duplicates.
    """
    if not signature.minhash:
        return signature
    bare = signature.minhash[: HASH_BYTES + COLOUR_BYTES]
    mark = hashlib.sha256(name.encode()).digest()[:CLASS_BYTES] if name else b""
    packed = np.frombuffer(bare[:HASH_BYTES], np.uint8)
    return replace(signature, minhash=bare + mark, bands=_band(packed, mark))


def _band(packed: NDArray[np.uint8], mark: bytes) -> tuple[int, ...]:
    from tasks.dedup.kernels import hash_bands

    bands = np.empty(BANDS, np.uint64)
    salt = make_band_salt(_IMAGE_BANDS) ^ np.uint64(int.from_bytes(mark, "little"))
    hash_bands(packed.reshape(BANDS, -1), salt, bands)
    return tuple(bands.view(np.int64).tolist())
