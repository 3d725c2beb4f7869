"""Images and texts as vectors, for measuring: by the shipped model, by untuned features, by pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageChops

from models.build.emoji import on_white

if TYPE_CHECKING:
    from PIL import Image
    from torch import nn

Vectors = NDArray[np.float32]
EmbedImages = Callable[[Sequence["Image.Image"]], Vectors]
_BATCH = 8
_PIXELS = 32


def embed_images(network: nn.Module, transform: Any, images: Sequence[Image.Image]) -> Vectors:
    """(N, D) of what the network makes of the images on white."""
    import torch

    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            batch = torch.stack([transform(on_white(image)) for image in images[start : start + _BATCH]])
            parts.append(network(batch.contiguous(memory_format=torch.channels_last)).numpy())
    return np.concatenate(parts)


def embed_pixels(images: Sequence[Image.Image]) -> Vectors:
    """(N, 3072): pixels of what is not the white border, at 32 by 32, less their mean.

    Without the border, which vendors leave in different width, pixels find twice as many.
    """
    small = [_trim(on_white(image)).resize((_PIXELS, _PIXELS)) for image in images]
    vectors = np.stack([np.asarray(image, dtype=np.float32).ravel() for image in small])
    return vectors - vectors.mean(axis=1, keepdims=True)


def _trim(image: Image.Image) -> Image.Image:
    return image.crop(ImageChops.invert(image).getbbox())


def embed_texts(clip: nn.Module, tokenize: Any, texts: Sequence[str]) -> Vectors:
    """(N, D) of the model's text tower."""
    import torch

    parts = []
    with torch.inference_mode():
        for start in range(0, len(texts), 64):
            parts.append(clip.encode_text(tokenize(list(texts[start : start + 64]))).numpy())
    return np.concatenate(parts)
