"""Search a collection from text."""

from __future__ import annotations

from flows.session import Session, require_same_space
from registry.collections import get_collection
from registry.search import search_collection
from schemas.errors import ConfigurationError
from schemas.search import Hit, SearchMode
from tasks.chunking.tokens import TokenCounter
from tasks.embedding.card import resolve_model
from tasks.querying import vector_weight


def search_text(
    session: Session, text: str, collection_name: str, *, k: int = 5, mode: SearchMode = "hybrid"
) -> list[Hit]:
    """The k best chunks of the collection's current release for a text.

    Raises:
        CollectionNotFound, ModelNotAvailable, SpaceMismatch: see the classes.
        ConfigurationError: the text is empty.
    """
    if not text.strip():
        raise ConfigurationError("The search text is empty.", advice="Give a word or a question.")
    collection = get_collection(session.db, collection_name)
    if mode == "keyword" or collection.active_space_id is None:
        return search_collection(session.db, collection, k=k, text=text)
    card = resolve_model(session.settings.collection(collection_name).model)
    require_same_space(session.db, collection, card)
    vector = session.load_embedder(card, session.settings).embed_query(text)
    if mode == "vector":
        return search_collection(session.db, collection, k=k, vector=vector)
    weight = vector_weight(text, TokenCounter.for_model(card.path))
    return search_collection(session.db, collection, k=k, text=text, vector=vector, vector_weight=weight)
