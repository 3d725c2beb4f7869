"""How much there is to embed, and how long it takes, said before it begins. No model is loaded for it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from flows.output_estimate import describe_estimate
from flows.session import Session, open_workspace
from flows.spaces import Choice, shown_change
from registry.collections import find_collection, find_space, get_collection
from registry.connection import Database
from registry.estimating import (
    count_tokens,
    embedding_speed,
    format_sizes,
    shown_tokens,
    unembedded_tokens,
)
from registry.purge import list_spaces
from registry.reembedding import count_truncated
from schemas.embedding import EmbeddingSpace
from schemas.estimate import Basis, Estimate, FormatSizes, ReembedPlan, Speed
from schemas.plan import ChangePlan
from schemas.release import Collection, Kind
from tasks.batch import Steps
from tasks.embedding.card import ModelCard
from tasks.planning import Planned
from tasks.workspace import Workspace

log = logging.getLogger(__name__)

KB = 1024
MAX_ENDING = 12
"""Characters; what is longer is no format (and none in `registry.estimating`)."""
_TEXT = ("c", "cpp", "go", "java", "js", "json", "log", "md", "py", "rs", "rst", "sql", "toml", "ts", "txt",
         "xml", "yaml", "yml")  # fmt: skip
TYPICAL_TOKENS_PER_KB: Mapping[str, float] = {
    **dict.fromkeys(_TEXT, 370.0), "csv": 1_000.0, "tsv": 1_000.0, "html": 250.0, "htm": 250.0,
    "hwp": 190.0, "hwpx": 180.0, "pdf": 26.0, "docx": 13.0, "pptx": 5.0, "xlsx": 27.0, "eml": 15.0,
}  # fmt: skip
"""Tokens of the default model in a KB of a file: the documents in samples/ (2026-11-21, 53 of them)."""
TYPICAL_TOKENS = 26.0
"""Of any other format: most of them are packed as PDF is."""
TYPICAL_CHUNK_TOKENS = 150.0
"""Of a chunk, over all these formats (37,599 tokens in 247 chunks)."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What an ingest would change, and embed.

    Attributes:
        plan: the changes.
        estimate: what of it is to be embedded; None where nothing is added or changed.
        kind: of the collection.
    """

    plan: ChangePlan
    estimate: Estimate | None
    kind: Kind


def foresee_location(
    session: Session,
    steps: Steps,
    location: str,
    collection: str,
    *,
    reapply: bool = False,
    kind: Kind | None = None,
) -> Foreseen:
    """What an ingest of that location would change, and about what it would embed; writes nothing."""
    with open_workspace(session, location, collection, kind=kind) as workspace:
        planned = steps.plan_run(workspace, steps.list_source(workspace), reapply=reapply)
        known = find_collection(session.db, collection)
        return Foreseen(planned.plan, estimate_plan(workspace, planned, known), workspace.kind)


def estimate_plan(workspace: Workspace, planned: Planned, collection: Collection | None) -> Estimate | None:
    """About what a plan embeds: one look at the past, none at the documents.

    Args:
        workspace: the run's surroundings.
        planned: the changes, and the sizes of what is listed.
        collection: the one that it goes to; None where it is not there yet.
    """
    plan, items = planned.plan, planned.opened.listing.items
    uris = (*plan.added, *plan.changed)
    if not uris:
        return None
    db, at_most = workspace.db, bool(plan.changed)
    if workspace.kind == "images":
        counted = Estimate(len(uris), basis="collection", at_most=at_most)
    else:
        past = format_sizes(db, collection.id) if collection else []
        counted = estimate_sizes(((uri, items[uri].size) for uri in uris), past, at_most=at_most)
    speed = embedding_speed(db, collection.id if collection else None, workspace.space)
    return _timed(counted, speed)


def estimate_sizes(
    sizes: Iterable[tuple[str, int]], past: Sequence[FormatSizes], *, at_most: bool = False
) -> Estimate:
    """About what documents are to embed, by what others of their format have made of their bytes.

    A format that the collection has none of counts as it usually does; one that nobody knows as the rest of
    the collection.

    Args:
        sizes: (uri, bytes) of the documents.
        past: documents of the collection.
        at_most: see `Estimate`.
    """
    by_format = _by_format(sizes)
    known = {one.format: one for one in past}
    over_all = _sum(past)
    chunks = tokens = typical = 0.0
    for format_, (documents, size) in by_format.items():
        found = known.get(format_) or (None if format_ in TYPICAL_TOKENS_PER_KB else over_all)
        if found is not None:
            chunks += size * found.chunks / found.size
            tokens += size * found.tokens / found.size
        else:
            made = size / KB * TYPICAL_TOKENS_PER_KB.get(format_, TYPICAL_TOKENS)
            chunks += max(documents, made / TYPICAL_CHUNK_TOKENS)
            tokens += made
            typical += made
    is_typical = not past or typical > tokens / 2
    basis: Basis = "typical" if is_typical else "collection"
    return Estimate(ceil(chunks), ceil(tokens), basis=basis, at_most=at_most)


def _by_format(sizes: Iterable[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """Ending of the name -> number of documents, and their bytes."""
    found: dict[str, tuple[int, int]] = {}
    for uri, size in sizes:
        ending = uri.rpartition("/")[2].rpartition(".")
        format_ = ending[2].lower() if ending[1] and len(ending[2]) <= MAX_ENDING else ""
        documents, total = found.get(format_, (0, 0))
        found[format_] = documents + 1, total + size
    return found


def estimate_missing(workspace: Workspace, batches: Sequence[Sequence[int]]) -> tuple[Estimate, list[int]]:
    """What a run that has staged everything is to embed, counted; and the tokens of each batch."""
    target = workspace.require_target()
    texts, db = sum(len(ids) for ids in batches), workspace.db
    tokens = [count_tokens(db, target.collection_id, ids) for ids in batches]
    speed = embedding_speed(db, target.collection_id, workspace.space) if texts else None
    estimate = _timed(Estimate(texts, sum(tokens)), speed)
    if texts:
        log.info("%s", describe_estimate(estimate, workspace.kind))
    return estimate, tokens


def foresee_reembed(session: Session, name: str) -> ReembedPlan:
    """What a reembed would do; writes nothing, and loads no model.

    Raises:
        CollectionNotFound, ModelNotAvailable: see the classes.
        ConfigurationError: no model is named as `next`, or there is nothing to embed anew.
    """
    db, collection = session.db, get_collection(session.db, name)
    active, choice = session.changing(collection)
    before, after = shown_change(active, choice.space)
    if choice.space == active:
        return ReembedPlan(name, before, after, is_change=False)
    plan = _foresee(db, collection, choice, active, (before, after))
    log.info("%s", describe_estimate(plan.estimate, collection.kind))
    return plan


def _foresee(
    db: Database, collection: Collection, choice: Choice, active: EmbeddingSpace, names: tuple[str, str]
) -> ReembedPlan:
    chunks, tokens = shown_tokens(db, collection.id)
    missing, space_id = chunks, find_space(db, choice.space)
    if space_id in {space.id for space in list_spaces(db, collection.id)}:
        assert space_id is not None
        missing, tokens = unembedded_tokens(db, collection.id, space_id)
    is_conversion = active.converts_to(choice.space)
    embed = Estimate() if is_conversion else Estimate(missing, tokens)
    card = choice.card
    return ReembedPlan(
        collection.name,
        *names,
        chunks=chunks,
        kept=chunks - missing,
        converted=missing if is_conversion else 0,
        estimate=_timed(embed, embedding_speed(db, collection.id, choice.space)),
        truncated=count_truncated(db, collection.id, card.max_tokens) if isinstance(card, ModelCard) else 0,
    )


def _timed(estimate: Estimate, speed: Speed | None) -> Estimate:
    """With the time that it takes; nothing takes none, whatever is known."""
    if not estimate.texts:
        seconds: float | None = 0.0
    else:
        seconds = speed.seconds(estimate.texts, estimate.tokens) if speed else None
    return Estimate(estimate.texts, estimate.tokens, seconds, estimate.basis, estimate.at_most)


def sum_estimates(estimates: Sequence[Estimate]) -> Estimate | None:
    """One of work that was done one after the other; None of nothing."""
    if not estimates:
        return None
    known = [one.seconds for one in estimates if one.seconds is not None]
    return Estimate(
        sum(one.texts for one in estimates),
        sum(one.tokens for one in estimates),
        sum(known) if len(known) == len(estimates) else None,
    )


def _sum(past: Sequence[FormatSizes]) -> FormatSizes | None:
    """All formats as one; None where nothing is known."""
    if not past:
        return None
    return FormatSizes(
        "",
        sum(one.documents for one in past),
        sum(one.size for one in past),
        sum(one.chunks for one in past),
        sum(one.tokens for one in past),
    )
