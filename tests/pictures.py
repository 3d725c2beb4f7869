"""Pictures for tests: classes that a small picture tells apart, made of a seed."""

from __future__ import annotations

import io
import zlib

import numpy as np
from PIL import Image


def picture(
    kind: str, number: int = 0, *, side: int = 48, patches: int = 6, noise: float = 30.0
) -> Image.Image:
    """A picture of a kind: the same colours for all of its numbers, each with noise of its own."""
    shape = (patches, patches, 3)
    base = np.random.default_rng(zlib.crc32(kind.encode())).integers(40, 216, shape)
    own = np.random.default_rng([zlib.crc32(kind.encode()), number]).normal(0, noise, shape)
    shown = np.clip(base + own, 0, 255).astype(np.uint8)
    return Image.fromarray(shown).resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def file(kind: str, number: int = 0, suffix: str = "PNG", **options: object) -> bytes:
    """`picture` as a file."""
    return encoded(picture(kind, number), suffix, **options)
