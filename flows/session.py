"""Open what a command works with: settings, registry, clock, models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.collections import find_collection, get_space, list_sources
from registry.connection import Database
from registry.embedded import prepare_home
from registry.opening import open_registry
from schemas.errors import SpaceMismatch
from schemas.release import Collection
from schemas.settings import DuplicateSettings, Settings
from tasks.dedup.elect import election_fingerprint
from tasks.embedding.card import ModelCard, resolve_model
from tasks.gate import load_canaries
from tasks.sources.base import find_nested, locate
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from tasks.embedding.base import TextEmbedder

LoadEmbedder = Callable[[ModelCard, Settings], "TextEmbedder"]


def load_embedder(card: ModelCard, settings: Settings) -> TextEmbedder:
    """The text model on the configured device."""
    from tasks.embedding.text import load_text_embedder

    return load_text_embedder(card, device=settings.device, precision=settings.precision)


@dataclass(frozen=True, slots=True)
class Session:
    """An open registry and what came with it."""

    settings: Settings
    db: Database
    load_embedder: LoadEmbedder = load_embedder
    clock_ns: Callable[[], int] = time.time_ns
    timer: Callable[[], float] = time.perf_counter


@contextmanager
def open_session(settings: Settings, *, load_embedder: LoadEmbedder = load_embedder) -> Iterator[Session]:
    """The registry, open while the block runs."""
    prepare_home(settings.home)
    url = settings.database_url.get_secret_value() if settings.database_url else None
    with open_registry(settings.home, url=url, tenant=settings.tenant) as db:
        yield Session(settings, db, load_embedder)


@contextmanager
def open_workspace(session: Session, location: str, collection_name: str) -> Iterator[Workspace]:
    """What one run or plan works with; writes nothing.

    Raises:
        SourceNotFound: there is nothing at the location.
        SpaceMismatch: the collection's vectors were made with another model.
        ModelNotAvailable: the configured model is not here.
    """
    settings = session.settings.collection(collection_name)
    if settings.gate.canaries:  # a wrong file stops the run before it costs anything
        load_canaries(settings.gate.canaries)
    collection = find_collection(session.db, collection_name)
    known = list_sources(session.db, collection.id) if collection else []
    scope = locate(location, known, include=settings.include, exclude=settings.exclude)
    card = resolve_model(settings.model)
    if collection:
        require_same_space(session.db, collection, card)
    workspace = Workspace(
        session.db,
        session.settings,
        settings,
        scope,
        card,
        clock_ns=session.clock_ns,
        nested=find_nested(scope, known),
        reelect=_is_election_due(collection, settings.duplicates),
        load_embedder=session.load_embedder,
    )
    try:
        yield workspace
    finally:
        workspace.close()


def _is_election_due(collection: Collection | None, settings: DuplicateSettings) -> bool:
    """Whether the settings for duplicates are not those of the collection's last election."""
    if collection is None or collection.current_release == 0:
        return False
    return collection.election != election_fingerprint(settings)


def require_same_space(db: Database, collection: Collection, card: ModelCard) -> None:
    """Refuse to mix vectors of two models in one collection."""
    if collection.active_space_id is None:
        return
    active = get_space(db, collection.active_space_id)
    if active.fingerprint != card.space().fingerprint:
        raise SpaceMismatch(
            f"Collection {collection.name!r} holds vectors of {active.model} ({active.revision}), "
            f"but {card.name} ({card.revision}) is configured.",
            advice="Set the model back, or ingest into a new collection with --collection NAME.",
        )
