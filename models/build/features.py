"""What the frozen front of the image tower makes of each view, computed once and kept on disk."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.build.augment import make_plain, make_view
from models.build.convert import load_classifier
from models.build.emoji import Emoji, Vendor, read_images

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

FROZEN_STAGES = 5
"""Of seven. The rest is trained from their maps: 112 channels, a sixteenth of the input's edge."""
_BATCH = 8
"""Faster than 64: the maps of a batch stay in the cache of one core (measured 2026-11-21)."""
SEED = 20261121


@dataclass(frozen=True, slots=True)
class Views:
    """Maps (N, 112, H, W) float16 of N images, and which emoji and vendor each shows."""

    maps: NDArray[np.float16]
    emoji: NDArray[np.int64]
    vendor: NDArray[np.int64]


def load_views(
    emoji: list[Emoji], vendors: tuple[Vendor, ...], *, number: int, folder: Path, unseen: bool
) -> Views:
    """The views with this number, from the folder where they are there. Number 0 is the plain image.

    Args:
        emoji: all classes; views point to their places in this list.
        vendors: whose images.
        number: of the pass; seeds the views.
        folder: for the arrays.
        unseen: whether held-out classes are among them.
    """
    names = "+".join(vendor.name for vendor in vendors)
    path = folder / f"{names}-{number}{'-all' if unseen else ''}.npz"
    if not path.exists():
        views = _compute(emoji, vendors, number=number, unseen=unseen)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, maps=views.maps, emoji=views.emoji, vendor=views.vendor)
    with np.load(path) as arrays:
        return Views(arrays["maps"], arrays["emoji"], arrays["vendor"])


def to_tensor(image: Image.Image) -> Tensor:
    """(3, H, W) float32 from -1 to 1, as the ImageNet weights expect."""
    import torch

    array = np.asarray(image.convert("RGB"), dtype=np.float32) / 127.5 - 1
    return torch.from_numpy(array).permute(2, 0, 1)


def _compute(emoji: list[Emoji], vendors: tuple[Vendor, ...], *, number: int, unseen: bool) -> Views:
    import torch

    front = Front()
    keys = [one.key for one in emoji if unseen or not one.is_unseen]
    places = {one.key: place for place, one in enumerate(emoji)}
    maps, which, whose = [], [], []
    batch: list[Tensor] = []
    for vendor_number, vendor in enumerate(vendors):
        for key, image in sorted(read_images(vendor, keys).items()):
            rng = random.Random(f"{SEED}/{number}/{vendor.name}/{key}")
            batch.append(to_tensor(make_view(image, rng) if number else make_plain(image)))
            which.append(places[key])
            whose.append(vendor_number)
            if len(batch) == _BATCH:
                maps.append(front(torch.stack(batch)))
                batch = []
    if batch:
        maps.append(front(torch.stack(batch)))
    return Views(np.concatenate(maps), np.array(which), np.array(whose))


class Front:
    """The stem and the first stages, as a function of a batch."""

    def __init__(self) -> None:
        import torch

        network = load_classifier()
        self._layers: nn.Sequential = torch.nn.Sequential(
            network.conv_stem, network.bn1, *network.blocks[:FROZEN_STAGES]
        ).to(memory_format=torch.channels_last)

    def __call__(self, batch: Tensor) -> NDArray[np.float16]:
        """(N, 112, H, W) of (N, 3, 16 H, 16 W)."""
        import torch

        with torch.inference_mode():
            maps = self._layers(batch.to(memory_format=torch.channels_last))
        array: NDArray[np.float16] = maps.contiguous().numpy().astype(np.float16)
        return array
