"""The processes of `tests.acceptance.model_change`: a writer, a reader, and the change of the model.

Arguments: the campaign's folder and a role. What to do is in `campaign.json` there. The models are fake and
write down each text that they embed; all else is as users have it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import registry.vector_index
import tasks.vectors
from flows.pipeline import ingest_location
from flows.reembedding import reembed_collection
from flows.searching import search_text
from flows.session import Session, open_session
from schemas.errors import RevectorError
from schemas.settings import Settings
from tasks.batch import plain_steps
from tests.acceptance.crash.killing import StepKiller

COLLECTION = "default"
TOPICS = 24
"""Directions that words lie in: as with real models, far fewer than dimensions; else no index finds much."""
STORE_S = 0.001
"""Seconds that a fake model takes for a text, at least: kills are to hit it at work."""


class CountingEmbedder:
    """Sums of random vectors, one a word: the same in all processes, near for near texts.

    Args:
        name, revision, dim: of the model; other revisions give other vectors.
        log: the file that each embedded text is written to; None for none.
        who: what the lines begin with.
    """

    def __init__(self, name: str, revision: str, dim: int, *, log: Path | None = None, who: str = "") -> None:
        self.name, self.revision, self.dim = name, revision, dim
        self._log, self._who = log, who
        self._topics = _random(revision, TOPICS, dim)
        self._word = cache(self._make_word)

    def embed(self, texts: Any, *, progress: Callable[[int], None] | None = None) -> Any:
        vectors = np.stack([self.embed_query(text) for text in texts])
        if self._log is not None:
            time.sleep(STORE_S * len(texts))
            hashes = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
            lines = [f"{self._who} {self.name} {text}\n" for text in hashes]
            descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(descriptor, "".join(lines).encode())
            os.close(descriptor)
        if progress is not None:
            progress(len(texts))
        return vectors

    def embed_query(self, text: str) -> Any:
        total = np.sum([self._word(word) for word in text.lower().split()], axis=0)
        return np.asarray(total / np.linalg.norm(total), dtype=np.float32)

    def _make_word(self, word: str) -> Any:
        return _random(f"{self.revision} {word}", TOPICS) @ self._topics


def _random(name: str, *shape: int) -> Any:
    """Numbers of a normal distribution, always the same ones for a name."""
    seed = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(seed)).standard_normal(shape)


class Models:
    """What a session loads models with, each once."""

    made: ClassVar[dict[str, CountingEmbedder]] = {}

    def __init__(self, log: Path | None, who: str) -> None:
        self._log, self._who = log, who

    def load(self, card: Any, _: Settings) -> Any:
        if card.name not in self.made:
            self.made[card.name] = CountingEmbedder(
                card.name, card.revision, card.dim, log=self._log, who=self._who
            )
        return self.made[card.name]


@contextmanager
def open_campaign(base: Path, who: str) -> Iterator[tuple[Session, dict[str, Any]]]:
    """A session of the campaign, and its facts."""
    facts = json.loads((base / "campaign.json").read_text())
    registry.vector_index.INDEX_FROM_ROWS = facts["index_from"]
    tasks.vectors.STORE_CHUNKS = facts["store_chunks"]
    models = Models(base / "embedded.log", who)
    with open_session(Settings(**facts["settings"]), load_embedder=models.load) as session:
        yield session, facts


def ingest(session: Session, base: Path, collection: str = COLLECTION) -> Any:
    """The campaign's folder into a collection."""
    with plain_steps() as steps:
        return ingest_location(session, steps, str(base / "docs"), collection, allow_deletions=True)


def write(base: Path) -> None:
    """Edit, add and delete documents and ingest, again and again, until the file `stop-writer` is there."""
    with open_campaign(base, "writer") as (session, facts), _Lines(base / "writer.jsonl") as say:
        rng, number = random.Random(facts["seed"]), 0
        while True:
            is_last = (base / "stop-writer").exists()
            for _ in range(3):
                number += 1
                path = base / "docs" / "edited" / f"{rng.randrange(facts['edited'])}.txt"
                if path.exists() and rng.random() < 0.25:
                    path.unlink()
                else:
                    path.write_text(make_text(random.Random(f"{facts['seed']} {number}"), 3))
            began, error, report = time.monotonic(), None, None
            try:
                report = ingest(session, base)
            except RevectorError as exc:
                error = f"{type(exc).__name__}: {exc}"
            say(
                at=began, seconds=time.monotonic() - began, error=error,
                release=report and report.release, problems=report and [str(p) for p in report.problems],
            )  # fmt: skip
            if is_last and error is None:
                return
            time.sleep(facts["writer_pause"])


def read(base: Path) -> None:
    """Search for stored texts, until the file `stop-reader` is there; says of which model each answer is."""
    log = base / "reader.jsonl"
    with open_campaign(base, "reader") as (session, facts), _Lines(log) as say:
        rng = random.Random(facts["seed"])
        asked = [line for line in (base / "asked.txt").read_text().splitlines() if line]
        models = [CountingEmbedder(*facts["models"][side]) for side in ("old", "new")]
        while not (base / "stop-reader").exists():
            text, mode = rng.choice(asked), rng.choice(["vector", "vector", "hybrid"])
            began, error, hits = time.monotonic(), None, []
            try:
                hits = search_text(session, text, COLLECTION, k=5, mode=mode)  # type: ignore[arg-type]
            except Exception as exc:  # any failed search is a failure of the campaign
                error = f"{type(exc).__name__}: {exc}"
            seconds = time.monotonic() - began
            say(
                at=began, seconds=seconds, mode=mode, error=error,
                found=bool(hits) and hits[0].text == text,
                model=name_model(models, text, hits) if mode == "vector" and hits else None,
            )  # fmt: skip
            time.sleep(facts["reader_pause"])


def name_model(models: list[CountingEmbedder], text: str, hits: list[Any]) -> str:
    """`old` or `new`, whose vectors alone explain all scores of an answer; else `mixed`."""
    for side, model in zip(("old", "new"), models, strict=True):
        query = model.embed_query(text)
        if all(abs(hit.score - float(query @ model.embed_query(hit.text))) < 1e-3 for hit in hits):
            return side
    return "mixed"


def reembed(base: Path, order: dict[str, Any]) -> None:
    """Change the model; `order` says at which step near the switch this process is to die, if at any."""
    killer = StepKiller(base / "home", order)
    killer.install()
    with open_campaign(base, "reembed") as (session, _):

        def show(stage: str, done: int, total: int) -> None:
            print(json.dumps({"stage": stage, "done": done, "total": total}), flush=True)

        report = reembed_collection(session, COLLECTION, progress=show)
        print(json.dumps({"report": report.as_json()}), flush=True)


def make_text(rng: random.Random, sentences: int) -> str:
    """Sentences of words that hardly any other text has."""
    return "\n\n".join(
        " ".join(f"w{rng.randrange(5000)}" for _ in range(9)).capitalize() + "." for _ in range(sentences)
    )


class _Lines:
    """A file of JSON lines, each written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Callable[..., None]:
        self._file = self._path.open("a", buffering=1)
        return lambda **facts: print(json.dumps(facts), file=self._file) and None

    def __exit__(self, *_: object) -> None:
        self._file.close()


def main() -> None:
    """Play a role."""
    base, role = Path(sys.argv[1]), sys.argv[2]
    if role == "reembed":
        reembed(base, json.loads(sys.argv[3]))
    else:
        {"write": write, "read": read}[role](base)


if __name__ == "__main__":
    main()
