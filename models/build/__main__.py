"""Build the small CLIP: fetch, convert and prove, train, write.

python -m models.build [--views FOLDER]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.build.convert import largest_difference, load_classifier
from models.build.emoji import VENDORS, Emoji, list_emoji
from models.build.features import SEED, Views, load_views
from models.build.fetch import CACHE
from models.build.model import FOLDER, create_clip, write_model
from models.build.train_image import ImagePlan, embed_views, list_tail, start_head, train_image_tower
from models.build.train_text import TextPlan, train_text_tower

if TYPE_CHECKING:
    from torch import nn

PASSES = 4
_ALLOWED_DIFFERENCE = 1e-5


def main() -> None:
    """Build; its parts took 30 minutes together on two busy cores."""
    parser = argparse.ArgumentParser(prog="python -m models.build", description=__doc__)
    parser.add_argument("--views", type=Path, default=CACHE / "views", help="where views are kept (800 MB)")
    parser.add_argument("--out", type=Path, default=FOLDER, help="the model's folder")
    options = parser.parse_args()
    prove_conversion()
    emoji = list_emoji()
    passes = [
        load_views(emoji, VENDORS, number=number, folder=options.views, unseen=False)
        for number in range(1, PASSES + 1)
    ]
    say(f"{PASSES} views of {len(passes[0].emoji)} images of {sum(not one.is_unseen for one in emoji)} emoji")
    build(emoji, passes, options.out)


def prove_conversion() -> None:
    """Compare the converted network with a forward pass of the package's tensors that does not use timm."""
    import torch

    torch.manual_seed(SEED)
    difference = largest_difference(load_classifier(), torch.randn(4, 3, 224, 224))
    say(f"largest difference of logits after conversion: {difference:.1e}")
    assert difference < _ALLOWED_DIFFERENCE, difference


def build(emoji: list[Emoji], passes: list[Views], folder: Path) -> None:
    """Train both towers, image first, and write the folder."""
    clip = create_clip()
    tail, head = list_tail(clip.visual.trunk), clip.visual.head.proj
    start_head(head, embed_views(tail, passes[0]))
    train_image_tower(clip.visual, passes, ImagePlan(), say)
    write_model(clip, folder)
    train_texts(clip, emoji, passes, folder)
    write_model(clip, folder)


def train_texts(clip: nn.Module, emoji: list[Emoji], passes: list[Views], folder: Path) -> None:
    """Train the text tower towards what the image tower makes of the views."""
    import open_clip
    import torch
    from torch.nn import functional

    tail, head = list_tail(clip.visual.trunk), clip.visual.head.proj
    with torch.no_grad():
        vectors = np.concatenate(
            [functional.normalize(head(embed_views(tail, one)), dim=-1).numpy() for one in passes]
        )
    shown = np.concatenate([one.emoji for one in passes])
    places = [place for place, one in enumerate(emoji) if not one.is_unseen]
    images = [vectors[shown == place] for place in places]
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    train_text_tower(clip, tokenize, [emoji[place] for place in places], images, TextPlan(), say)


_started = time.perf_counter()


def say(line: str) -> None:
    """Print with the seconds since the start."""
    print(f"{time.perf_counter() - _started:6.0f} s  {line}", flush=True)


if __name__ == "__main__":
    main()
