"""Open what a command works with: settings, registry, clock, models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.spaces import Choice, active_space, choose_next, choose_space, chunk_card
from registry.collections import find_collection, list_sources
from registry.connection import Database
from registry.embedded import prepare_home
from registry.opening import open_registry
from schemas.embedding import EmbeddingSpace
from schemas.errors import ConfigurationError
from schemas.release import Collection, Kind
from schemas.settings import CollectionSettings, DuplicateSettings, Settings
from tasks.dedup.elect import election_fingerprint
from tasks.embedding import resolve
from tasks.embedding.probing import verify
from tasks.embedding.resolve import Card
from tasks.gate import load_canaries
from tasks.sources.base import find_nested, locate
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from tasks.embedding.base import Embedder

LoadEmbedder = Callable[[Card, Settings], "Embedder"]


def load_real_embedder(card: Card, settings: Settings) -> Embedder:
    """The model on the configured device."""
    return resolve.load_embedder(card, device=settings.device, precision=settings.precision)


@dataclass(frozen=True, slots=True)
class Session:
    """An open registry and what came with it."""

    settings: Settings
    db: Database
    load_embedder: LoadEmbedder = load_real_embedder
    clock_ns: Callable[[], int] = time.time_ns
    timer: Callable[[], float] = time.perf_counter

    def choose_space(
        self, name: str, kind: Kind, space: EmbeddingSpace | None, *, what: str | None = None
    ) -> Choice:
        """The configured model of a collection that a space is of; see `flows.spaces.choose_space`."""
        what = what or f"Collection {name!r}"
        settings = self.settings
        return choose_space(settings.collection(name), kind, space, what=what, endpoints=settings.endpoints)

    def serving(self, collection: Collection) -> Choice:
        """The model that a collection's current release is of; raises as `choose_space`."""
        return self.choose_space(collection.name, collection.kind, active_space(self.db, collection))

    def load(self, card: Card, space_id: int) -> Embedder:
        """The model of a card, found to give the vectors of a space.

        Raises:
            SpaceMismatch: it gives others: its files or libraries have changed.
            ModelNotAvailable: its files were changed while it was loaded; nothing was stored.
        """
        embedder = self.load_embedder(card, self.settings)
        verify(self.db, space_id, embedder)
        return embedder

    def changing(self, collection: Collection) -> tuple[EmbeddingSpace, Choice]:
        """A collection's space, and what a reembed would change it to.

        Raises:
            ConfigurationError: it has no release yet, or no `next` is named.
            ModelNotAvailable: the next model is not here.
        """
        active = active_space(self.db, collection)
        if active is None:
            raise ConfigurationError(
                f"Collection {collection.name!r} has no release yet: there is nothing to embed anew.",
                advice="Set `model` itself, then run `revector ingest PATH`.",
            )
        own, endpoints = self.settings.collection(collection.name), self.settings.endpoints
        return active, choose_next(own, collection.kind, active, name=collection.name, endpoints=endpoints)


@contextmanager
def open_session(settings: Settings, *, load_embedder: LoadEmbedder | None = None) -> Iterator[Session]:
    """The registry, open while the block runs; None loads the real models."""
    prepare_home(settings.home)
    url = settings.database_url.get_secret_value() if settings.database_url else None
    with open_registry(settings.home, url=url, tenant=settings.tenant) as db:
        yield Session(settings, db, load_embedder or load_real_embedder)


@contextmanager
def open_workspace(
    session: Session, location: str, collection_name: str, *, kind: Kind | None = None
) -> Iterator[Workspace]:
    """What one run or plan works with; writes nothing.

    Args:
        session: the open registry.
        location: a folder, a file or a URL.
        collection_name: where to.
        kind: of the collection; None for what it is, or is configured to be.

    Raises:
        ConfigurationError: the collection is of another kind.
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
    kind = kind_of(collection_name, collection, settings, kind)
    choice = session.choose_space(collection_name, kind, active_space(session.db, collection))
    workspace = Workspace(
        session.db,
        session.settings,
        settings,
        scope,
        choice.card,
        space=choice.space,
        chunk_card=chunk_card(settings, kind, choice.card, endpoints=session.settings.endpoints),
        kind=kind,
        clock_ns=session.clock_ns,
        nested=find_nested(scope, known, home=session.settings.home.resolve()),
        reelect=_is_election_due(collection, settings.duplicates),
        load_embedder=session.load_embedder,
    )
    try:
        yield workspace
    finally:
        workspace.close()


def kind_of(
    name: str, collection: Collection | None, settings: CollectionSettings, asked: Kind | None
) -> Kind:
    """The kind of a collection: what it is, else what is asked for, else what is configured.

    Raises:
        ConfigurationError: it is, or is configured to be, of another kind.
    """
    is_, configured = collection.kind if collection else None, settings.kind
    kind = is_ or asked or configured or "documents"
    for other, says in ((asked, "--kind"), (configured, "revector.toml")):
        if other not in (None, kind):
            raise ConfigurationError(
                f"Collection {name!r} holds {kind}, but {says} says {other}.",
                advice="A collection holds one kind of items: name another one with --collection.",
            )
    return kind


def _is_election_due(collection: Collection | None, settings: DuplicateSettings) -> bool:
    """Whether the settings for duplicates are not those of the collection's last election."""
    if collection is None or collection.current_release == 0:
        return False
    return collection.election != election_fingerprint(settings)
