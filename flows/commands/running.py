"""Run an ingest: as a Prefect flow where the environment names a server, else as plain functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flows.configuration import load_settings
from flows.session import open_session
from schemas.release import Kind
from schemas.report import RunReport

if TYPE_CHECKING:
    from flows.reindexing import ReindexReport


def run_ingest(
    config: Path | None,
    path: str,
    collection: str,
    *,
    allow_deletions: bool = False,
    reapply: bool = False,
    only: frozenset[str] | None = None,
    kind: Kind | None = None,
    quiet: bool = False,
) -> RunReport:
    """The run's report; see `flows.pipeline.ingest_location`."""
    settings = load_settings(config)
    if os.environ.get("PREFECT_API_URL"):
        from flows.ingest import images, ingest, require_server

        require_server()
        kind = kind or settings.collection(collection).kind
        return (images if kind == "images" else ingest)(
            path,
            collection=collection,
            allow_deletions=allow_deletions,
            reapply=reapply,
            only=None if only is None else sorted(only),
            config=str(config) if config else None,
        )
    from flows.pipeline import ingest_location
    from flows.progress import show_progress
    from tasks.batch import plain_steps

    with open_session(settings) as session, plain_steps() as steps, show_progress(quiet=quiet) as progress:
        return ingest_location(
            session,
            steps,
            path,
            collection,
            allow_deletions=allow_deletions,
            reapply=reapply,
            only=only,
            kind=kind,
            progress=progress,
        )


def run_reindex(
    config: Path | None,
    collection: str,
    uris: list[str] | None,
    *,
    source: str | None = None,
    quiet: bool = False,
) -> ReindexReport:
    """What came of named documents, or of the events that wait; see `flows.reindexing`."""
    settings = load_settings(config)
    if os.environ.get("PREFECT_API_URL"):
        from flows.ingest import require_server
        from flows.reindex import reindex

        require_server()
        return reindex(collection, uris=uris, source=source, config=str(config) if config else None)
    from flows.progress import show_progress
    from flows.reindexing import apply_events, reindex_documents
    from tasks.batch import plain_steps

    with open_session(settings) as session, plain_steps() as steps, show_progress(quiet=quiet) as progress:
        if uris is None:
            return apply_events(session, steps, collection, progress=progress)
        return reindex_documents(session, steps, collection, uris, source=source, progress=progress)
