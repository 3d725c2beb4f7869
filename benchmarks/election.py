"""What an election costs: 100 new documents beside many that are indexed, and all of them at once."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Sequence
from uuid import uuid4

from benchmarks.database import fresh_registry
from benchmarks.measuring import Row, median_ratio, milliseconds
from benchmarks.near_duplicates import LANGUAGES, Language
from registry.collections import ensure_collection, ensure_source, ensure_space, ensure_vector_partition
from registry.connection import Connection, Database
from registry.releases import activate_run
from registry.runs import hold_new_run
from registry.staging import StageTarget, stage_window
from schemas.document import Metadata
from schemas.embedding import EmbeddingSpace
from schemas.settings import DuplicateSettings
from schemas.source import Source, Stat
from schemas.version import StagedDocument, VersionDraft
from tasks.dedup.elect import elect
from tasks.dedup.signature import text_signature

SETTINGS = DuplicateSettings()
WINDOW = 256
NEW = 100
COPIES = 0.2
"""Of all documents are a copy of an earlier one, with a footer."""
_FOOTER = " This copy was printed from the archive for internal use."


def run(quick: bool) -> list[Row]:
    """The same 100 new documents beside a tenth of the documents, and beside all of them."""
    many = 10_000 if quick else 100_000
    few, rounds = many // 10, 5
    beside_few, _ = _measure(few, rounds)
    beside_many, whole = _measure(many, rounds)
    return [
        Row(
            name=f"elect among {NEW} new documents",
            ours=f"{milliseconds(beside_many)} beside {many:,}",
            baseline=f"{milliseconds(beside_few)} beside {few:,}",
            ratio=median_ratio(beside_many, beside_few),
            meaning=f"candidates looked up, compared and decided in one transaction; at most "
            f"{max(beside_many) * 1000:,.0f} ms; 1 is flat; promised: under 1 s",
        ),
        Row(
            name=f"elect among all {many:,}",
            ours=f"{whole:.1f} s",
            baseline="-",
            ratio=None,
            meaning=f"the first election; {COPIES:.0%} of the documents are copies of another",
        ),
    ]


def _measure(count: int, rounds: int) -> tuple[list[float], float]:
    """Seconds of elections among new documents beside so many, and of the first one."""
    language, rng = LANGUAGES["en"], random.Random(count)
    with fresh_registry() as db:
        texts = _make_texts(language, rng, count, [])
        first = _release(db, texts, "indexed")
        seconds = []
        for number in range(rounds + 1):
            fresh = _make_texts(language, rng, NEW, texts[:1000])
            seconds.append(_release(db, fresh, f"new-{number}"))
    return seconds[1:], first


def _make_texts(language: Language, rng: random.Random, count: int, known: Sequence[str]) -> list[str]:
    texts: list[str] = []
    for _ in range(count):
        pool = known or texts
        if pool and rng.random() < COPIES:
            texts.append(rng.choice(pool) + _FOOTER)
        else:
            texts.append(language.prose(rng, 12))
    return texts


def _release(db: Database, texts: Sequence[str], name: str) -> float:
    """Add documents in a run of their own; returns how long its election took, in seconds."""
    collection_id = ensure_collection(db, "bench").id
    source = ensure_source(db, collection_id, Source("bench", "/bench"))
    space_id = ensure_space(db, EmbeddingSpace("text", "bench", "bench", "1", 8))
    ensure_vector_partition(db, space_id, collection_id)
    target = StageTarget(collection_id, source.id or 0, space_id, uuid4())

    def hold(connection: Connection) -> None:
        elect(connection, db.tenant_id, collection_id, target.run_id, SETTINGS)

    with hold_new_run(db, collection_id, target.run_id, flow="ingest", trigger="manual", scope=name):
        for start in range(0, len(texts), WINDOW):
            window = enumerate(texts[start : start + WINDOW], start)
            stage_window(db, target, [_document(f"{name}-{number:06}.txt", text) for number, text in window])
        started = time.perf_counter()
        with db.transaction() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            hold(connection)
        elapsed = time.perf_counter() - started
        activate_run(db, collection_id, space_id, target.run_id, elect=hold)
    return elapsed


def _document(uri: str, text: str) -> StagedDocument:
    """Without chunks: an election does not look at them."""
    name = hashlib.sha256(uri.encode()).digest()
    draft = VersionDraft(
        content_sha256=name,
        parser="text",
        fingerprint=name,
        text_sha256=hashlib.sha256(text.encode()).digest(),
        metadata_sha256=name,
        mime="text/plain",
        metadata=Metadata(title=uri),
        chunks=(),
        signature=text_signature(text),
        published=True,
        digest=name,
    )
    return StagedDocument(uri, "added", Stat(1), name, None, draft=draft)
