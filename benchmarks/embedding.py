"""Our embedding path against SentenceTransformer.encode at batch 32, on the same texts.

Both run in turns in one process, so that a busy machine slows both: read the ratio, and
on a busy machine the ratio of the best rounds.

    python -m benchmarks.embedding [--quick]
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tasks.embedding.card import DEFAULT_TEXT_MODEL, resolve_model
from tasks.embedding.text import load_text_embedder

_KOREAN = "계약 환불 고객 서비스 기간 요금 신청 처리 담당 부서 규정 문서 검색 저장 변경 승인 예산 보고"
_ENGLISH = "contract refund customer service period fee request team rule index storage change"


def make_texts(count: int, seed: int = 1) -> list[str]:
    """Korean and English texts of 3 to 180 words, short ones more often, as chunks are."""
    rng = random.Random(seed)
    texts = []
    for number in range(count):
        words = (_KOREAN if number % 2 else _ENGLISH).split()
        length = max(3, min(180, int(rng.lognormvariate(3.6, 0.9))))
        texts.append(" ".join(rng.choices(words, k=length)) + f" {number}.")
    rng.shuffle(texts)
    return texts


def run(quick: bool = False) -> dict[str, Any]:
    """Measure; the keys of the result are what `main` prints."""
    import torch
    from sentence_transformers import SentenceTransformer

    texts = make_texts(120 if quick else 400)
    card = resolve_model(DEFAULT_TEXT_MODEL)
    embedder = load_text_embedder(card)
    plain = SentenceTransformer(str(card.path), device=embedder.device, local_files_only=True)
    result: dict[str, np.ndarray] = {}

    def ours() -> None:
        result["ours"] = embedder.embed(texts)

    def theirs() -> None:
        result["theirs"] = plain.encode(
            texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False
        )

    seconds = _alternate({"ours": ours, "theirs": theirs}, rounds=2 if quick else 5)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)]
    return {
        "name": "embedding",
        "model": card.name,
        "texts": len(texts),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_of_best": round(min(seconds["theirs"]) / min(seconds["ours"]), 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "min_cosine": round(float((result["ours"] * result["theirs"]).sum(axis=1).min()), 5),
        "texts_per_s": round(len(texts) / median["ours"], 1),
        "peer_texts_per_s": round(len(texts) / median["theirs"], 1),
        "budget_tokens": embedder.budget.tokens,
        "machine": {
            "device": embedder.device,
            "dtype": embedder.dtype,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "platform": platform.machine(),
        },
    }


def _alternate(sides: dict[str, Callable[[], None]], *, rounds: int) -> dict[str, list[float]]:
    for side in sides.values():
        side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    """Print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer texts and rounds")
    print(json.dumps(run(quick=parser.parse_args().quick), indent=2))


if __name__ == "__main__":
    main()
