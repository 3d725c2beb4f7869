"""Class prototypes of emoji by two vendors, asked with a third's: the shipped CLIP against its untuned trunk.

    python -m benchmarks prototypes

The emoji come from npm packages and are kept in a folder under the system's temporary one. Drawing OpenMoji's
SVG needs resvg-py, which pip puts there too. Where either is out of reach the benchmark says so and is empty.
"""

from __future__ import annotations

import sys
import time

from benchmarks.measuring import Row, per_second
from models.build.convert import load_classifier
from models.build.embed import EmbedImages, Vectors, embed_images, embed_pixels, embed_texts
from models.build.emoji import Emoji, list_emoji
from models.build.evaluate import PrototypeScores, score_texts
from models.build.fetch import FetchFailed
from models.build.measure import CLASS_COUNTS, SHOTS, EmojiVectors, embed_emoji, score_general
from models.build.model import load_model


def run(quick: bool) -> list[Row]:
    """Top-1 of the nearest prototype, telling unknown things, finding images by name; no row offline."""
    try:
        emoji = list_emoji()
        return _measure(emoji, draws=5 if quick else 20, quick=quick)
    except FetchFailed as exc:
        print(f"prototypes: skipped, as the emoji cannot be fetched: {exc}", file=sys.stderr)
        return []


def _measure(emoji: list[Emoji], *, draws: int, quick: bool) -> list[Row]:
    clip, transform, tokenize = load_model()
    untuned = load_classifier()
    untuned.reset_classifier(0)

    sides: dict[str, EmbedImages] = {
        "ours": lambda images: embed_images(clip.visual, transform, images),
        "untuned": lambda images: embed_images(untuned, transform, images),
        "pixels": embed_pixels,
    }
    started = time.perf_counter()
    vectors = {"ours": embed_emoji(emoji, sides["ours"])}
    seconds = time.perf_counter() - started
    vectors |= {name: embed_emoji(emoji, sides[name]) for name in ("untuned", "pixels")}
    rows = []
    for unseen in (True, False):
        for classes in CLASS_COUNTS:
            scores = {
                name: each.score(unseen=unseen, classes=classes, draws=draws)
                for name, each in vectors.items()
            }
            rows += _compare(scores, classes=classes, unseen=unseen)
    texts = {"English": [one.english[0] for one in emoji], "Korean": [one.korean[0] for one in emoji]}
    for language, names in texts.items():
        rows += _find(language, embed_texts(clip, tokenize, names), vectors["ours"])
    if not quick:
        rows += _generalize(sides)
    rate = per_second(3 * len(emoji), [seconds], "images")
    rows.append(
        Row(
            name="embed images",
            ours=rate,
            baseline="-",
            ratio=None,
            meaning="decoding included",
        )
    )
    return rows


def _compare(scores: dict[str, PrototypeScores], *, classes: int, unseen: bool) -> list[Row]:
    ours, untuned, pixels = scores["ours"], scores["untuned"], scores["pixels"]
    kind = f"{classes} classes {'never' if unseen else ''} trained on".replace("  ", " ")
    return [
        Row(
            name=f"top-1, {kind}",
            ours=f"{ours.top1:.3f}",
            baseline=f"{untuned.top1:.3f}",
            ratio=ours.top1 / untuned.top1,
            meaning="prototypes by Noto and Twemoji, asked with OpenMoji / the same with untuned "
            f"EfficientNet-Lite0; pixels alone: {pixels.top1:.3f}; higher is better",
        ),
        Row(
            name=f"unknown things, {kind}",
            ours=f"{ours.unknown_by_similarity:.3f}",
            baseline=f"{untuned.unknown_by_similarity:.3f}",
            ratio=ours.unknown_by_similarity / untuned.unknown_by_similarity,
            meaning="AUROC of the best similarity, half of the queries being of no class; by the margin "
            f"{ours.unknown_by_margin:.3f} / {untuned.unknown_by_margin:.3f}; .5 is chance",
        ),
    ]


def _find(language: str, texts: Vectors, vectors: EmojiVectors) -> list[Row]:
    rows = []
    for unseen in (True, False):
        chosen = vectors.is_unseen == unseen
        first, five = score_texts(texts[chosen], vectors.queries[chosen])
        count = int(chosen.sum())
        rows.append(
            Row(
                name=f"image by {language} name, {count:,} {'unseen' if unseen else 'seen'}",
                ours=f"{first:.3f}",
                baseline=f"{1 / count:.3f}",
                ratio=first * count,
                meaning=f"recall@1 among OpenMoji's images / chance; recall@5 {five:.3f}",
            )
        )
    return rows


def _generalize(sides: dict[str, EmbedImages]) -> list[Row]:
    ours, untuned = score_general(sides["ours"]), score_general(sides["untuned"])
    kinds = (
        ("photos of clothes, 10 classes, 1 shot", ours.clothes_1, untuned.clothes_1),
        (f"photos of clothes, 10 classes, {SHOTS} shots", ours.clothes_5, untuned.clothes_5),
        ("logos of 73 brands", ours.brands, untuned.brands),
    )
    meaning = "top-1, no emoji / untuned EfficientNet-Lite0; under 1: training cost something"
    return [
        Row(name=name, ours=f"{a:.3f}", baseline=f"{b:.3f}", ratio=a / b, meaning=meaning)
        for name, a, b in kinds
    ]
