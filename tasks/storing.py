"""Stage a window, and find the chunks that a run would show and that have no vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from registry.gate import staged_chunks
from registry.runs import record_rejections
from registry.staging import stage_retirements, stage_window
from schemas.plan import ChangePlan
from tasks.preparing import Prepared
from tasks.vectors import batches
from tasks.workspace import Workspace

BATCH_CHUNKS = 16_384
"""Chunks of one task run: several windows, so that the next is read while one is embedded. What is tried
again after a failure is what was not stored."""


def write_window(workspace: Workspace, prepared: Prepared) -> tuple[str, ...]:
    """Stage the window's documents, without vectors, and record its rejections.

    Returns:
        Uris whose stored version was purged meanwhile: not staged.
    """
    target = workspace.require_target()
    conflicts: tuple[str, ...] = ()
    if prepared.documents or prepared.parsed:
        conflicts = stage_window(workspace.db, workspace.stage_target(), prepared.documents, prepared.parsed)
    record_rejections(
        workspace.db, target.collection_id, target.source_id, target.run_id, prepared.rejections
    )
    return conflicts


def retire_documents(workspace: Workspace, plan: ChangePlan, outcome: Mapping[str, str]) -> None:
    """Stage that deleted documents, and the old names of moved ones, are retired.

    Args:
        workspace: the run's surroundings.
        plan: what was planned.
        outcome: uri -> what became of it; a document whose new name is not staged stays.
    """
    retired = [
        item
        for item in plan.retired
        if item.replaced_by is None
        or outcome.get(item.replaced_by, "rejected") not in ("rejected", "conflict")
    ]
    stage_retirements(workspace.db, workspace.stage_target(), retired)


def find_missing(workspace: Workspace) -> tuple[int, list[Sequence[int]]]:
    """Places of chunks that the run would show, and those without a vector, each once, in batches."""
    target = workspace.require_target()
    places, missing = staged_chunks(workspace.db, target.collection_id, target.space_id, target.run_id)
    return places, list(batches(missing, BATCH_CHUNKS))
