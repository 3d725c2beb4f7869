"""A change of the embedding model without downtime: the order of it, written once.

The new space is built beside the active one from stored chunks; nothing is parsed, no source is asked.
Runs and searches go on with the old one. When nothing that is shown is missing, one transaction switches,
as a release.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from uuid import UUID

from flows.progress import Progress, ignore_progress
from flows.prototyping import refresh
from flows.purging import hold_flow
from flows.session import Session
from flows.space_change import (
    Change,
    compare,
    count_longer,
    prepare_canaries,
    require_overlap,
    throttle_for,
)
from flows.spaces import shown_change
from flows.stopwatch import Stopwatch
from registry.blobs import BlobStore
from registry.collections import ensure_space, ensure_vector_partition, get_collection, get_space
from registry.connection import Connection
from registry.estimating import count_tokens
from registry.reembedding import (
    convert_vectors,
    count_unembedded,
    find_unembedded,
    hold_reembed,
    switch_space,
    wait_for_build,
)
from registry.vector_index import ensure_index
from schemas.errors import EmbeddingFailed, GateFailed, VectorsMissing
from schemas.reembed import ReembedReport
from schemas.release import Activation
from tasks.storing import BATCH_CHUNKS
from tasks.throttling import Throttle
from tasks.vectors import embed_chunks

PROBE = "revector"
"""What a model is asked for before all else."""
SWITCH_ATTEMPTS = 10
"""While others make releases all the time, what they bring is embedded, and the switch tried again."""


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
        RunStopped: another reembed of the collection is at work, or it was switched to a third model
            meanwhile.
        EmbeddingFailed: the model's vectors are not what its files say.
        RevectorError: see the classes; what searches read has not changed.
    """
    with hold_reembed(session.db, get_collection(session.db, name)):
        change = _open_change(session, name)
        active = get_space(session.db, change.active_id)
        report = ReembedReport("", name, *shown_change(active, change.choice.space))
        report.is_same_model = change.choice.space.has_same_vectors(active)
        if change.choice.space == active:  # what died after its switch left the prototypes
            refresh(session, name)
            return report
        ensure_vector_partition(session.db, change.space_id, change.collection.id)
        facts: dict[str, object] = {}
        started = session.timer()
        held = hold_flow(
            session,
            change.collection,
            "reembed",
            facts,
            trigger=trigger,
            prefect_flow_run_id=prefect_flow_run_id,
        )
        with held as stats:
            report.run_id = str(facts["run_id"])
            with closing(change):
                _reembed(change, report, progress)
            report.seconds["total"] = session.timer() - started
            stats.update(report.as_json())
    return report


def _open_change(session: Session, name: str) -> Change:
    """From the active space to the one that is named."""
    collection = get_collection(session.db, name)
    active, choice = session.changing(collection)
    assert collection.active_space_id is not None
    return Change(
        session,
        collection,
        collection.active_space_id,
        choice,
        ensure_space(session.db, choice.space),
        active,
    )


def _reembed(change: Change, report: ReembedReport, progress: Progress) -> None:
    session, collection = change.session, change.collection
    clock = Stopwatch(session.timer, report.seconds)
    report.chunks, missing = count_unembedded(session.db, collection.id, change.space_id)
    report.kept = report.chunks - missing
    report.truncated = count_longer(change)
    throttle = throttle_for(change)
    with clock("index"):
        wait_for_build(session.db, collection.id, change.space_id)
    with clock("model"):
        if missing and not change.is_conversion:
            _require_model(change)
    with clock("embed"):
        _fill(change, report, throttle, missing, progress)
    with clock("index"):
        ensure_index(session.db, change.space_id, collection.id)
    with clock("compare"):
        ask = prepare_canaries(change)
        report.comparison = compare(change)
        require_overlap(change, report.comparison)
    progress("switch", 0, 1)
    activation = _switch(change, report, ask, lambda ids: _embed(change, report, ids, throttle))
    report.paused = throttle.paused
    if activation.release:
        report.state = "succeeded"
        report.release, report.digest = activation.release.number, activation.release.digest.hex()
    refresh(session, collection.name, rebuild=True)
    progress("switch", 1, 1)


def _require_model(change: Change) -> None:
    """The model that was loaded has vectors as long as the space's.

    Raises:
        EmbeddingFailed: they have another length than its files say.
        ModelNotAvailable: its files were changed while it was loaded.
    """
    space = change.choice.space
    dim = len(change.load().embed_query(PROBE))
    if dim != space.dim:
        raise EmbeddingFailed(
            f"{space.model} gives vectors of {dim} dimensions, not {space.dim} as its files say.",
            advice="Download the model again, or use another one.",
        )


def _fill(
    change: Change, report: ReembedReport, throttle: Throttle, missing: int, progress: Progress
) -> None:
    """Embed until nothing that is shown is missing; releases that land meanwhile bring more."""
    done = 0
    progress("embed", done, missing)

    def count(embedded: int) -> None:
        nonlocal done
        done += embedded
        progress("embed", done, max(missing, done))

    db, before = change.session.db, None
    while ids := find_unembedded(db, change.collection.id, change.space_id, most=BATCH_CHUNKS):
        if ids == before:  # else it would go on forever
            raise VectorsMissing(
                f"{len(ids)} chunks that are shown got no vector. Searches still read the old ones.",
                advice="Run `revector check`: something that they are made of is not there.",
                chunks=ids,
            )
        _embed(change, report, before := ids, throttle, progress=count)
        ensure_vector_partition(db, change.space_id, change.collection.id)  # it is in use: no purge takes it


def _embed(
    change: Change,
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
        if converted:  # what has none in the old space either comes again, and is embedded
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
    report.tokens += count_tokens(db, collection_id, ids)
    for stage in ("model", "write"):
        report.seconds[stage] = report.seconds.get(stage, 0.0) + result.seconds[stage]


def _switch(
    change: Change,
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
                before=change.active_id,
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
