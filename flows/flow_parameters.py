"""Parameters that several flows have, as the UI's form shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field


def form_field(
    *, title: str, description: str, examples: Sequence[Any] | None = None, min_length: int | None = None
) -> Any:
    """A parameter as the form shows it; in place of its bare name and the line of the docstring."""
    shown: dict[str, Any] = {"title": title, "description": description}
    return Field(
        examples=list(examples) if examples else None, min_length=min_length, json_schema_extra=shown
    )


CollectionName = Annotated[
    str,
    form_field(
        title="Collection",
        description="Name of the collection. An ingest creates it at its first run.",
        examples=["default", "인사팀"],
        min_length=1,
    ),
]
AnyCollection = Annotated[
    str | None,
    form_field(
        title="Collection",
        description="Name of the collection; all collections where it is left out.",
        examples=["default", "인사팀"],
    ),
]
Location = Annotated[
    str | None,
    form_field(
        title="Where from",
        description="A folder, a file or an fsspec URL, as the worker's machine sees it. "
        "Left out: all sources that the collection has, one after the other.",
        examples=["/data/documents", "s3://bucket/documents"],
    ),
]
AllowDeletions = Annotated[
    bool,
    form_field(
        title="Allow many deletions",
        description="Retire what is gone from the source even if it is suspiciously much. "
        "Only after looking: an unmounted disk looks like a deletion of everything.",
    ),
]
Reapply = Annotated[
    bool,
    form_field(title="Undo rollbacks", description="Bring back what a rollback took out of view."),
]
Only = Annotated[
    list[str] | None,
    form_field(
        title="Only these",
        description="Just these documents, by their path below the source; even if rejected before.",
        examples=[["reports/2026.pdf"]],
    ),
]
Config = Annotated[
    str | None,
    form_field(
        title="Configuration file",
        description="On the worker's machine; left out: `REVECTOR_CONFIG`, or `revector.toml` where the "
        "worker was started.",
    ),
]
DryRun = Annotated[bool, form_field(title="Only look", description="Report what would be done; do nothing.")]
