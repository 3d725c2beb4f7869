"""All numbers of the model's README, measured on the written folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.build.embed import EmbedImages, Vectors
from models.build.emoji import HELD_OUT, VENDORS, Emoji, read_images
from models.build.evaluate import PrototypeScores, score_prototypes, score_shots
from models.build.general import read_brands, read_fashion

CLASS_COUNTS = (50, 200)
SHOTS = 5


@dataclass(frozen=True, slots=True)
class EmojiVectors:
    """Vectors (C, D) of the same emoji by the two vendors of the prototypes and by the held-out one."""

    prototypes: tuple[Vectors, ...]
    queries: Vectors
    is_unseen: NDArray[np.bool_]

    def score(self, *, unseen: bool, classes: int, draws: int) -> PrototypeScores:
        """Prototypes of `classes` emoji, all held out of training or all trained on."""
        rows = self.is_unseen == unseen
        groups = [group[rows] for group in self.prototypes]
        return score_prototypes(groups, self.queries[rows], classes=classes, draws=draws)


def embed_emoji(emoji: Sequence[Emoji], embed: EmbedImages) -> EmojiVectors:
    """Vectors of all emoji by Noto, Twemoji and OpenMoji."""
    keys = [one.key for one in emoji]
    by_vendor = []
    for vendor in (*VENDORS[:2], HELD_OUT):
        images = read_images(vendor, keys)
        by_vendor.append(embed([images[key] for key in keys]))
    is_unseen = np.array([one.is_unseen for one in emoji])
    return EmojiVectors(tuple(by_vendor[:2]), by_vendor[2], is_unseen)


@dataclass(frozen=True, slots=True)
class GeneralScores:
    """Top-1 on what is no emoji: photos of clothes with one and five shots, logos across icon sets."""

    clothes_1: float
    clothes_5: float
    brands: float


def score_general(embed: EmbedImages) -> GeneralScores:
    """Prototypes of photos of 10 kinds of clothes and of 146 brands' logos."""
    clothes = read_fashion()
    vectors = embed([image for kind in clothes for image in kind]).reshape(len(clothes), len(clothes[0]), -1)
    brands = read_brands()
    logos = [embed([brand[number] for brand in brands]) for number in range(3)]
    top1 = score_prototypes(logos[:2], logos[2], classes=len(brands) // 2).top1
    return GeneralScores(score_shots(vectors, shots=1), score_shots(vectors, shots=SHOTS), top1)
