"""A process that does one operation, and may be killed in it. Started by the campaign.

Arguments: the campaign's folder. Standard input: one line of JSON, when it is to begin.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import registry.connection
import tasks.vectors
from schemas.errors import RevectorError
from tests.acceptance.crash.killing import StepKiller
from tests.acceptance.crash.operations import OPERATIONS, SETTINGS
from tests.world import World

EMBEDDED = "embedded.log"
STORE_CHUNKS = 2
EMBED_SECONDS = 0.02
CONNECT_TIMEOUT_S = 3
"""Shorter than in production: a client waits so long, twice, for a server that is gone."""


def main() -> None:
    base = Path(sys.argv[1])
    tasks.vectors.STORE_CHUNKS = STORE_CHUNKS
    registry.connection.CONNECT_TIMEOUT_S = CONNECT_TIMEOUT_S
    print("ready", flush=True)
    line = sys.stdin.readline()
    if line:
        print(json.dumps(_run(base, json.loads(line))), flush=True)


def _run(base: Path, task: dict[str, Any]) -> dict[str, Any]:
    killer = StepKiller(base / "home", task["kill"])
    killer.install()
    started = time.perf_counter()
    answer: dict[str, Any] = {}
    try:
        with World.open(base, None, **SETTINGS) as world:  # type: ignore[arg-type]
            _record_embedded(world, base / EMBEDDED, task["attempt"])
            answer["state"] = OPERATIONS[task["operation"]].run(world, task["arguments"])
    except RevectorError as exc:  # anything else is a traceback, and a failure of the campaign
        answer |= {"error": type(exc).__name__, "message": str(exc)}
    return {**answer, "seconds": time.perf_counter() - started, "steps": killer.steps}


def _record_embedded(world: World, path: Path, attempt: int) -> None:
    """Write down each text that was paid for, whether or not its vector is ever stored."""
    plain = world.embedder.embed

    def embed(texts: Any, **options: Any) -> Any:
        time.sleep(EMBED_SECONDS)
        vectors = plain(texts, **options)
        lines = "".join(f"{attempt} {hashlib.sha256(text.encode()).hexdigest()}\n" for text in texts)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, lines.encode())
        os.close(descriptor)
        return vectors

    world.embedder.embed = embed  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
