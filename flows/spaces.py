"""Which model, and which way to store its vectors, a collection is to be read and written with.

A collection keeps to its active space. `model` and `vectors` of its settings name a space; `next` names
another one, which `revector reembed` changes to. Whichever of the two is active serves, so that a change,
and its rollback, need no edit of the settings at the moment of the switch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from registry.collections import get_space
from registry.connection import Database
from schemas.embedding import MAX_INDEXED_DIM, MAX_STORED_DIM, Dtype, EmbeddingSpace
from schemas.errors import ConfigurationError, SpaceMismatch
from schemas.release import Collection, Kind
from schemas.settings import CollectionSettings, EndpointSettings, VectorSettings
from tasks.embedding import resolve
from tasks.embedding.resolve import Card

Endpoints = Mapping[str, EndpointSettings]


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that is on this machine, and the space of its vectors."""

    card: Card
    space: EmbeddingSpace


def choose_space(
    settings: CollectionSettings,
    kind: Kind,
    active: EmbeddingSpace | None,
    *,
    what: str,
    endpoints: Endpoints | None = None,
) -> Choice:
    """The configured model whose space is the active one; without one, the model that is configured.

    Args:
        settings: of the collection.
        kind: of its items.
        active: its space, None before the first release.
        what: holds vectors of that space; for messages.
        endpoints: those that are configured.

    Raises:
        ModelNotAvailable: the model is not here.
        SpaceMismatch: the vectors were made with none of the models that are configured.
        ConfigurationError: its vectors cannot be stored as configured.
    """
    found, away = [], None
    for model, vectors in _candidates(settings, kind):
        try:
            choice = _choice(model, vectors, kind, active, endpoints)
        except ConfigurationError as exc:  # it may be the other one that serves
            away = away or exc
            continue
        if active is None or choice.space == active:
            return choice
        found.append(choice.space)
    if away is not None or active is None:
        raise away or AssertionError("one is always configured")
    configured = " or ".join(space.describe(active) for space in found)
    is_changed = any(one.model == active.model and one.revision != active.revision for one in found)
    files = f" The files of {active.model} are not those that the vectors were made with." * is_changed
    raise SpaceMismatch(
        f"{what} holds vectors of {active.describe(*found)}, but {configured} is configured.{files}",
        advice="Set the model back. To change it, name the new one as `next` and run `revector reembed`, "
        "or ingest into a new collection with --collection NAME. Keyword search needs none: --mode keyword.",
    )


def choose_next(
    settings: CollectionSettings,
    kind: Kind,
    active: EmbeddingSpace,
    *,
    name: str,
    endpoints: Endpoints | None = None,
) -> Choice:
    """What a reembed changes to.

    Raises:
        ConfigurationError: nothing is named, or it cannot be stored as configured.
        ModelNotAvailable: the model is not here.
    """
    if settings.next is None:
        raise ConfigurationError(
            f"No model is named that collection {name!r} should change to.",
            advice=f'Name it in revector.toml: [collections.{name}.next], then model = "...".',
        )
    return _choice(settings.next_model_for(kind), settings.next_vectors, kind, active, endpoints)


def chunk_card(
    settings: CollectionSettings, kind: Kind, card: Card, *, endpoints: Endpoints | None = None
) -> Card:
    """The model whose tokens and limit chunks are cut by: `model`, also while another one embeds.

    So a change of the embedding model leaves chunks as they are, until `model` itself is changed.
    """
    if settings.next is None or settings.next.model is None or kind == "images":
        return card
    return resolve.resolve_card(kind, settings.model_for(kind), endpoints=endpoints)


def active_space(db: Database, collection: Collection | None) -> EmbeddingSpace | None:
    """The space that a collection's current release shows; None before the first."""
    if collection is None or collection.active_space_id is None:
        return None
    return get_space(db, collection.active_space_id)


def _candidates(settings: CollectionSettings, kind: Kind) -> Iterator[tuple[str, VectorSettings]]:
    yield settings.model_for(kind), settings.vectors
    if settings.next is not None:
        yield settings.next_model_for(kind), settings.next_vectors


def _choice(
    model: str,
    vectors: VectorSettings,
    kind: Kind,
    active: EmbeddingSpace | None,
    endpoints: Endpoints | None,
) -> Choice:
    card = resolve.resolve_card(kind, model, endpoints=endpoints)
    return Choice(card, fit_space(card.space(), vectors, active))


def fit_space(
    space: EmbeddingSpace, vectors: VectorSettings, active: EmbeddingSpace | None = None
) -> EmbeddingSpace:
    """The space with its vectors stored as configured.

    Raises:
        ConfigurationError: no index takes vectors of that length, stored so.

    >>> fit_space(EmbeddingSpace("text", "p", "m", "r", 3072), VectorSettings()).dtype
    'halfvec'
    """
    dtype: Dtype
    if vectors.dtype != "auto":
        dtype = vectors.dtype
    elif active is not None and active.has_same_vectors(space):
        dtype = active.dtype
    else:
        dtype = "vector" if space.dim <= MAX_INDEXED_DIM["vector"] else "halfvec"
    fitted = replace(space, dtype=dtype, m=vectors.m, ef_construction=vectors.ef_construction)
    if fitted != active and space.dim > min(MAX_INDEXED_DIM[dtype], MAX_STORED_DIM):
        fits = [name for name, most in MAX_INDEXED_DIM.items() if space.dim <= min(most, MAX_STORED_DIM)]
        raise ConfigurationError(
            f"{space.model} makes vectors of {space.dim} dimensions; stored as {dtype}, at most "
            f"{MAX_INDEXED_DIM[dtype]} can be indexed.",
            advice=f'Set vectors.dtype = "{fits[0]}".' if fits else "Use a model with shorter vectors.",
        )
    return fitted


def shown_space(space: EmbeddingSpace) -> str:
    """A space as reports name it."""
    return space.model if space.dtype == "vector" else f"{space.model} ({space.dtype})"


def shown_change(before: EmbeddingSpace, after: EmbeddingSpace) -> tuple[str, str]:
    """Two spaces, told apart."""
    if before == after or shown_space(before) != shown_space(after):
        return shown_space(before), shown_space(after)
    return before.describe(after), after.describe(before)
