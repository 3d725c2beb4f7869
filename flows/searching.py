"""Search a collection from text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.classifying import embed_image
from flows.prototyping import image_collection
from flows.session import Session
from flows.switching import in_one_space
from registry.collections import get_collection, get_space
from registry.history import find_release
from registry.search import search_collection, space_of_release
from schemas.errors import ConfigurationError
from schemas.filters import Condition
from schemas.release import Collection
from schemas.search import Hit, SearchMode
from tasks.embedding.endpoint_card import EndpointCard
from tasks.embedding.resolve import Card
from tasks.querying import query_weight


def search_text(
    session: Session,
    text: str,
    collection_name: str,
    *,
    k: int = 5,
    mode: SearchMode = "hybrid",
    as_of: str | None = None,
    where: Sequence[Condition] = (),
) -> list[Hit]:
    """The k best chunks of a release for a text: the current one, or what `as_of` names.

    Args:
        session: an open session.
        text: what to look for.
        collection_name: where.
        k: number of hits.
        mode: vectors, keywords, or both.
        as_of: a release by number, tag or time.
        where: conditions that all must hold for a document (`schemas.filters.parse_conditions`).

    Raises:
        CollectionNotFound, ReleaseNotFound, ReleaseIncomplete, ModelNotAvailable: see the classes.
        SpaceMismatch: the release was embedded with another model than the configured one.
        EndpointUnavailable: the model's endpoint gives no vector, or asks for more than 10 s of patience.
        ConfigurationError: the text is empty.
    """
    if not text.strip():
        raise ConfigurationError("The search text is empty.", advice="Give a word or a question.")
    db = session.db
    collection = get_collection(db, collection_name)
    release = None if as_of is None else find_release(db, collection, as_of).number

    def search() -> list[Hit]:
        space_id = None if mode == "keyword" else space_of_release(db, collection, release)
        if space_id is None:
            return search_collection(db, collection, k=k, text=text, release=release, where=where)
        card = _model_of(session, collection, release, space_id)
        if isinstance(card, EndpointCard):
            card = card.hurried()
        embedder = session.load(card, space_id)
        vector = embedder.embed_query(text)
        is_hybrid = mode == "hybrid"
        return search_collection(
            db,
            collection,
            k=k,
            release=release,
            text=text if is_hybrid else None,
            vector=vector,
            space_id=space_id,
            vector_weight=query_weight(text, card, embedder) if is_hybrid else 1.0,
            where=where,
        )

    return in_one_space(search)


def _model_of(session: Session, collection: Collection, release: int | None, space_id: int) -> Card:
    """The configured model that a release's vectors were made with."""
    what = f"Collection {collection.name!r}" if release is None else f"Release {release}"
    space = get_space(session.db, space_id)
    return session.choose_space(collection.name, collection.kind, space, what=what).card


def search_image(
    session: Session,
    path: Path,
    collection_name: str,
    *,
    k: int = 5,
    as_of: str | None = None,
    where: Sequence[Condition] = (),
) -> list[Hit]:
    """The k images of a release that are nearest to an image file; the rest as `search_text`.

    Raises:
        DocumentError: the file cannot be read as an image.
        ConfigurationError: the collection holds documents.
    """
    collection = image_collection(session, collection_name)
    release = None if as_of is None else find_release(session.db, collection, as_of).number

    def search() -> list[Hit]:
        space_id = space_of_release(session.db, collection, release)
        if space_id is None:
            return []
        card = _model_of(session, collection, release, space_id)
        vector = embed_image(session, path, card, space_id)
        return search_collection(
            session.db, collection, k=k, release=release, vector=vector, space_id=space_id, where=where
        )

    return in_one_space(search)
