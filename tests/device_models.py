"""What processes of devices load and are asked in tests: no framework, vectors that tokens alone decide."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ModelNotAvailable
from tasks.embedding.base import Progress, Vectors
from tasks.embedding.batching import TokenBudget, run_blocks
from tasks.embedding.processes import DevicePool, Load
from tasks.embedding.tokenizing import TokenWindow

PROBE = np.eye(384, dtype=np.float32)[:2]
DEADLY = "This text ends the process."


class DeviceFake:
    """A model on one device, for texts and for files alike.

    Args:
        device: where it is.
        room: padded tokens that its memory holds.
        cosine: what its probe gives.
        is_mortal: whether it dies of `DEADLY`.
    """

    name, revision, dim, block_chunks = "all-MiniLM-L6-v2", "1", 384, None
    probes = b"p" * 32

    def __init__(
        self, device: str, *, room: int = 1 << 20, cosine: float = 1.0, is_mortal: bool = False
    ) -> None:
        self.device, self.room, self.cosine, self.is_mortal = device, room, cosine, is_mortal
        self.budget = TokenBudget(4096)
        self.embedded = 0
        self.settled: list[Vectors] = []

    def reference(self) -> Vectors:
        return PROBE

    def settle(self, expected: Vectors) -> float:
        self.settled.append(expected)
        return self.cosine

    def prepare(self, texts: Sequence[str]) -> TokenWindow:
        return TokenWindow.of([list(text.encode()) for text in texts])

    def stream(self, prepared: TokenWindow, *, most: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        def forward(rows: NDArray[np.int64]) -> Vectors:
            if len(rows) * int(prepared.lengths[rows].max()) > self.room:
                raise MemoryError
            return np.stack([self._embed_one(prepared.take(rows[i : i + 1])) for i in range(len(rows))])

        is_full = lambda error: isinstance(error, MemoryError)  # noqa: E731
        for rows, results in run_blocks(prepared.lengths, self.budget, forward, is_full, most=most):
            self.embedded += len(rows)
            yield rows, np.concatenate(results)

    def embed(self, items: Sequence[Any], *, progress: Progress | None = None) -> Vectors:
        vectors = np.zeros((len(items), self.dim), dtype=np.float32)
        for rows, block in self.stream(self.prepare([str(item) for item in items]), most=max(1, len(items))):
            vectors[rows] = block
            if progress is not None:
                progress(len(rows))
        return vectors

    def embed_query(self, text: str) -> Vectors:
        return self.embed([text])[0]

    def trusts(self, text: str) -> bool:
        return bool(text)

    def _embed_one(self, window: TokenWindow) -> Vectors:
        if self.is_mortal and DEADLY.encode() in bytes(window.ids[:-1].astype(np.uint8)):
            kill_itself(self)
        vector = np.random.default_rng(window.ids.tolist()).standard_normal(self.dim)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def load(device: str, **options: Any) -> Load:
    return Load(device, partial(DeviceFake, device, **options))


def load_gone(device: str) -> Load:
    return Load(device, partial(_gone, device))


def _gone(device: str) -> None:
    raise ModelNotAvailable(f"gone on {device}", advice="look", device=device)


def load_stuck(device: str, fifo: Path) -> Load:
    """It waits until somebody writes to the fifo."""
    return Load(device, partial(stay, None, fifo=fifo))


def device_of(model: DeviceFake) -> str:
    return model.device


def pid_of(_: Any) -> int:
    return os.getpid()


def stay(model: Any, *, fifo: Path) -> Any:
    fifo.read_bytes()
    return model and model.device


def kill_itself(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exit_itself(_: Any) -> None:
    os._exit(3)


def fault(_: Any) -> None:
    raise RuntimeError("CUDA error: an illegal memory access\nand much more")


def work_until_ended(fifo: str, *, is_loading: bool) -> None:
    """For a process that a test ends: two processes, stuck until somebody writes to the fifo."""
    one = load_stuck("one", Path(fifo)) if is_loading else load("one")
    pool = DevicePool([one, load("two")])
    list(pool.ask_any([partial(stay, fifo=Path(fifo))] * 2))
