"""Runs one ingest with a slow model until somebody kills it. Started by test_crash.py."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import tasks.vectors
from tests.world import World


def main() -> None:
    base, url, store_chunks, delay_s = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    tasks.vectors.STORE_CHUNKS = store_chunks
    with World.open(base, url) as world:
        plain = world.embedder.embed

        def slow(texts, **options):
            time.sleep(delay_s)
            return plain(texts, **options)

        world.embedder.embed = slow  # type: ignore[method-assign]
        print(world.ingest().state, flush=True)


if __name__ == "__main__":
    main()
