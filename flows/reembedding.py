"""A change of the embedding model without downtime: the order of it, written once.

The new space is built beside the active one from stored chunks; nothing is parsed, no source is asked.
Runs and searches go on with the old one. When nothing that is shown is missing, one transaction switches,
as a release.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from flows.pipeline import Progress, ignore_progress
from flows.prototyping import refresh
from flows.purging import hold_flow
from flows.session import Session
from flows.spaces import Choice, choose_next
from flows.stopwatch import Stopwatch
from registry.blobs import BlobStore
from registry.collections import ensure_space, ensure_vector_partition, get_collection, get_space
from registry.connection import Connection
from registry.reembedding import (
    convert_vectors,
    count_truncated,
    count_unembedded,
    find_unembedded,
    keep_comparison,
    shown_vector,
    switch_space,
)
from registry.search import vector_hits
from registry.vectors import ensure_index
from schemas.embedding import EmbeddingSpace
from schemas.errors import ConfigurationError, GateFailed, ModelNotAvailable, SpaceMismatch, VectorsMissing
from schemas.reembed import Comparison, ReembedReport
from schemas.release import Activation, Collection
from tasks.comparing_spaces import Side, choose_questions, compare_spaces
from tasks.embedding.base import Embedder
from tasks.embedding.card import ModelCard
from tasks.gate import load_canaries, prepare_questions
from tasks.throttling import Throttle
from tasks.vectors import embed_chunks

BATCH_CHUNKS = 1024
"""Chunks of one look at what is missing."""
SWITCH_ATTEMPTS = 10
"""While others make releases all the time, what they bring is embedded, and the switch tried again."""


@dataclass(slots=True)
class _Change:
    """A change under way: where from, where to."""

    session: Session
    collection: Collection
    active_id: int
    choice: Choice
    space_id: int
    is_conversion: bool
    embedder: Embedder | None = None

    def load(self) -> Embedder:
        """The new model, loaded once."""
        if self.embedder is None:
            self.embedder = self.session.load_embedder(self.choice.card, self.session.settings)
        return self.embedder


def reembed_collection(
    session: Session,
    name: str,
    *,
    trigger: str = "manual",
    prefect_flow_run_id: UUID | None = None,
    progress: Progress = ignore_progress,
) -> ReembedReport:
    """Change a collection to the model that its settings name as `next`; at most one release comes of it.

    A call after one that was killed, or stopped by its gate, embeds only what is missing.

    Args:
        session: the open registry.
        name: of the collection.
        trigger: manual or schedule.
        prefect_flow_run_id: of the flow run, if there is one.
        progress: told how far it is: stages "embed" and "switch".

    Raises:
        CollectionNotFound, ModelNotAvailable, ConfigurationError: see the classes.
        GateFailed: canary queries do not find their documents, or too little is found by both models.
        RevectorError: see the classes; what searches read has not changed.
    """
    collection = get_collection(session.db, name)
    if collection.active_space_id is None:
        raise ConfigurationError(
            f"Collection {name!r} has no release yet: there is nothing to embed anew.",
            advice="Set `model` itself, then run `revector ingest PATH`.",
        )
    active = get_space(session.db, collection.active_space_id)
    choice = choose_next(session.settings.collection(name), collection.kind, active, name=name)
    report = ReembedReport("", name, _shown(active), _shown(choice.space))
    if choice.space == active:
        return report
    space_id = ensure_space(session.db, choice.space)
    ensure_vector_partition(session.db, space_id, collection.id)
    change = _Change(
        session, collection, collection.active_space_id, choice, space_id,
        is_conversion=choice.space.has_same_vectors(active),
    )  # fmt: skip
    facts: dict[str, object] = {}
    started = session.timer()
    held = hold_flow(
        session, collection, "reembed", facts, trigger=trigger, prefect_flow_run_id=prefect_flow_run_id
    )
    with held as stats:
        report.run_id = str(facts["run_id"])
        _reembed(change, report, progress)
        report.seconds["total"] = session.timer() - started
        stats.update(report.as_json())
    return report


def _reembed(change: _Change, report: ReembedReport, progress: Progress) -> None:
    session, collection = change.session, change.collection
    clock = Stopwatch(session.timer, report.seconds)
    report.chunks, missing = count_unembedded(session.db, collection.id, change.space_id)
    report.kept = report.chunks - missing
    report.truncated = _count_truncated(change)
    throttle = _throttle(change)
    with clock("embed"):
        _fill(change, report, throttle, missing, progress)
    with clock("index"):
        ensure_index(session.db, change.space_id, collection.id)
    with clock("compare"):
        ask = _prepare_canaries(change)
        report.comparison = _compare(change)
        _require_overlap(change, report)
    progress("switch", 0, 1)
    activation = _switch(change, report, ask, lambda ids: _embed(change, report, ids, throttle))
    report.paused = throttle.paused
    if activation.release:
        report.state = "succeeded"
        report.release, report.digest = activation.release.number, activation.release.digest.hex()
    refresh(session, collection.name, rebuild=True)
    progress("switch", 1, 1)


def _fill(
    change: _Change, report: ReembedReport, throttle: Throttle, missing: int, progress: Progress
) -> None:
    """Embed until nothing that is shown is missing; releases that land meanwhile bring more."""
    done = 0
    progress("embed", done, missing)

    def count(embedded: int) -> None:
        nonlocal done
        done += embedded
        progress("embed", done, max(missing, done))

    db = change.session.db
    while ids := find_unembedded(db, change.collection.id, change.space_id, most=BATCH_CHUNKS):
        _embed(change, report, ids, throttle, progress=count)


def _embed(
    change: _Change,
    report: ReembedReport,
    ids: Sequence[int],
    throttle: Throttle,
    *,
    progress: Callable[[int], None] | None = None,
) -> None:
    db, collection_id = change.session.db, change.collection.id
    if change.is_conversion:
        converted = convert_vectors(db, collection_id, change.active_id, change.space_id, list(ids))
        report.converted += converted
        if progress:
            progress(converted)
        throttle.breathe()
        return

    def count(embedded: int) -> None:
        if progress:
            progress(embedded)
        throttle.breathe()

    result = embed_chunks(
        db,
        collection_id,
        change.space_id,
        ids,
        load_embedder=change.load,
        blobs=BlobStore(change.session.settings.home, db.tenant_id),
        timer=change.session.timer,
        progress=count,
    )
    report.embedded += result.embedded
    for stage in ("model", "write"):
        report.seconds[stage] = report.seconds.get(stage, 0.0) + result.seconds[stage]


def _throttle(change: _Change) -> Throttle:
    """Watches a vector search of the space that serves."""
    session, collection = change.session, change.collection
    space = get_space(session.db, change.active_id)
    vector = shown_vector(session.db, collection.id, change.active_id)

    def search() -> None:
        if vector is not None:
            with session.db.transaction() as connection:
                vector_hits(connection, session.db.tenant_id, collection, vector, space.column_type, 10)

    duty = session.settings.collection(collection.name).reembed.duty
    return Throttle(search, duty=duty, timer=session.timer)


def _count_truncated(change: _Change) -> int:
    card = change.choice.card
    if not isinstance(card, ModelCard):
        return 0
    return count_truncated(change.session.db, change.collection.id, card.max_tokens)


def _prepare_canaries(change: _Change) -> Callable[[Connection], list[str]] | None:
    """What asks the canary queries of the new space, inside the transaction that would switch."""
    session, collection = change.session, change.collection
    limits = session.settings.collection(collection.name).gate
    if limits.canaries is None:
        return None
    return prepare_questions(
        session.db, limits, collection.id, change.space_id, card=change.choice.card, embedder=change.load()
    )


def _compare(change: _Change) -> Comparison | None:
    """Both spaces, asked the same; None where the old model is not here, or there is nothing to ask."""
    session, collection = change.session, change.collection
    settings = session.settings.collection(collection.name)
    if collection.kind == "images":
        return None
    queries = (
        [canary.query for canary in load_canaries(settings.gate.canaries)] if settings.gate.canaries else []
    )
    questions = choose_questions(session.db, collection.id, queries, most=settings.reembed.queries)
    if not questions:
        return None
    active = get_space(session.db, change.active_id)
    try:
        old = (
            change.load()
            if change.is_conversion
            else session.load_embedder(session.serving(collection).card, session.settings)
        )
    except (ModelNotAvailable, SpaceMismatch):
        return None
    before = Side(change.active_id, active.column_type, old)
    after = Side(change.space_id, change.choice.space.column_type, change.load())
    comparison = compare_spaces(session.db, collection, before, after, questions)
    if comparison is not None:
        keep_comparison(session.db, collection.id, change.space_id, _as_dict(comparison))
    return comparison


def _as_dict(comparison: Comparison) -> dict[str, object]:
    return {"queries": comparison.queries, "overlap": comparison.overlap, "recall": comparison.recall}


def _require_overlap(change: _Change, report: ReembedReport) -> None:
    least = change.session.settings.collection(change.collection.name).reembed.min_overlap
    found = report.comparison
    if found is not None and found.overlap < least:
        raise GateFailed(
            f"Both models find {found.overlap:.0%} of the same chunks, less than {least:.0%} "
            "(reembed.min_overlap). Searches still read the old vectors.",
            advice="Look at some queries with both. Lower the limit to switch all the same: what is embedded "
            "stays.",
        )


def _switch(
    change: _Change,
    report: ReembedReport,
    ask: Callable[[Connection], list[str]] | None,
    embed: Callable[[Sequence[int]], None],
) -> Activation:
    def inspect(connection: Connection) -> None:
        if ask is not None and (failures := ask(connection)):
            raise GateFailed(
                f"The new model was not taken, searches read the old vectors: {'. '.join(failures)}.",
                advice="Choose another model, or change the canaries; what is embedded stays.",
                failures=failures,
            )

    timer = change.session.timer
    for attempt in range(SWITCH_ATTEMPTS):
        began = timer()
        try:
            done = switch_space(
                change.session.db,
                change.collection.id,
                UUID(report.run_id),
                change.space_id,
                note=f"{report.model_before} -> {report.model_after}",
                inspect=inspect,
            )
        except VectorsMissing as exc:
            if attempt == SWITCH_ATTEMPTS - 1:
                raise
            embed(exc.facts["chunks"])
            continue
        report.switch_seconds = timer() - began
        return done
    raise AssertionError("the last attempt returns or raises")


def _shown(space: EmbeddingSpace) -> str:
    return space.model if space.dtype == "vector" else f"{space.model} ({space.dtype})"
