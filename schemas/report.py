"""What a run reports. The JSON of the command line is made from these, field by field."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.check import Problem
from schemas.estimate import Estimate
from schemas.prototype import BuildReport
from schemas.release import Rejection, RunState

STAGES = (
    "list", "plan", "parse", "wait", "write", "elect", "model", "embed", "index", "gate", "activate", "check",
    "prototypes", "total",
)  # fmt: skip
"""`wait` is what writing waited for parsing, `model` is loading it."""


@dataclass(slots=True)
class DocumentCounts:
    """Documents by what happened to them; `rejected` counts all that stand rejected now.

    `partial` counts shown documents of which a part could not be read.

    `duplicate` counts those of the added, changed and moved ones that are duplicates of another.
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    deleted: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: int = 0
    partial: int = 0


@dataclass(slots=True)
class ChunkCounts:
    """Places of chunks that this run brought into view; total = reused + embedded.

    What only documents hold that are kept out of search is not counted, and not embedded.
    """

    total: int = 0
    reused: int = 0
    embedded: int = 0


@dataclass(slots=True)
class RunReport:
    """One run, as shown to people and programs.

    `seconds` holds wall time by stage. Stages overlap (parsing of one window with writing
    of another), so they add up to more than `total`. `rejections` are all that stand in the
    part of the source that was looked at. `held` counts documents
    that differ from their source because a rollback showed them so; `hidden` those that search
    shows no more because they are duplicates, `restored` those it shows again; `problems` are what the
    check of the new release found; `prototypes` is what became of those of an image collection. `estimate`
    is what there was to embed, counted when all was staged, with the time that it was thought to take;
    None where the run came not so far. `tokens` are those of the chunks that were embedded.
    """

    run_id: str
    collection: str
    source: str = ""
    state: RunState = "running"
    release: int | None = None
    digest: str | None = None
    documents: DocumentCounts = field(default_factory=DocumentCounts)
    chunks: ChunkCounts = field(default_factory=ChunkCounts)
    parsed: int = 0
    conflicts: int = 0
    held: int = 0
    hidden: int = 0
    restored: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    rejections: list[Rejection] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    prototypes: BuildReport | None = None
    estimate: Estimate | None = None
    tokens: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain values, rejections without timestamps."""
        data = asdict(self)
        data["prototypes"] = asdict(self.prototypes) if self.prototypes else None
        data["estimate"] = self.estimate.as_json() if self.estimate else None
        data["seconds"] = {name: round(value, 4) for name, value in self.seconds.items()}
        data["rejections"] = [
            {"uri": r.uri, "part": r.part, "stage": r.stage, "error": r.error, "message": r.message}
            for r in self.rejections
        ]
        return data

    def stats(self) -> dict[str, Any]:
        """What is stored with the run: as `as_json`, without what has rows of its own, and without names."""
        data = self.as_json()
        data.pop("rejections")
        data["prototypes"] = self.prototypes.counts() if self.prototypes else None
        return data
