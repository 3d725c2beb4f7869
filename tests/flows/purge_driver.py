"""Runs one slow purge until somebody kills it. Started by test_purging.py."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import registry.purge
from flows.purging import purge_collection
from registry.blobs import BlobStore
from tests.world import World

DELAY_S = 0.15


def _slowly(function: Any) -> Any:
    def slow(*args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        time.sleep(DELAY_S)
        return result

    return slow


def main() -> None:
    registry.purge.BATCH_VERSIONS = 1
    # inside the transaction: the kill meets it open
    registry.purge.erase_versions = _slowly(registry.purge.erase_versions)
    BlobStore.discard = _slowly(BlobStore.discard)  # type: ignore[method-assign]
    settings = {"default": {"retention": {"keep_versions": 0, "keep_days": 0, "grace_hours": 0}}}
    with World.open(Path(sys.argv[1]), sys.argv[2], collections=settings) as world:
        print(purge_collection(world.session, "default")["versions"], flush=True)


if __name__ == "__main__":
    main()
