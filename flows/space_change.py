"""A change of spaces under way: how it stands back, and what is asked before the switch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flows.session import Session
from flows.spaces import Choice
from registry.connection import Connection
from registry.reembedding import count_truncated, shown_vector
from registry.search import vector_hits
from schemas.embedding import EmbeddingSpace
from schemas.errors import ConfigurationError, EmbeddingFailed, GateFailed
from schemas.reembed import Comparison
from schemas.release import Collection
from tasks.comparing_spaces import Side, choose_questions, compare_spaces
from tasks.embedding.base import Embedder, SharedEmbedder
from tasks.embedding.card import ModelCard
from tasks.gate import load_canaries, prepare_questions
from tasks.throttling import Throttle


@dataclass(slots=True)
class Change:
    """A change under way: where from, where to."""

    session: Session
    collection: Collection
    active_id: int
    choice: Choice
    space_id: int
    active: EmbeddingSpace
    embedder: Embedder | None = None

    @property
    def is_conversion(self) -> bool:
        """Whether what is stored is stored in another way, and nothing is embedded."""
        return self.active.converts_to(self.choice.space)

    def load(self) -> Embedder:
        """The new model, loaded once."""
        if self.embedder is None:
            self.embedder = self.session.load(self.choice.card, self.space_id)
        return self.embedder

    def close(self) -> None:
        """End the processes that the new model embeds with."""
        if isinstance(self.embedder, SharedEmbedder):
            self.embedder.end()


def throttle_for(change: Change) -> Throttle:
    """Watches a vector search of the space that serves."""
    session, collection = change.session, change.collection
    vector = shown_vector(session.db, collection.id, change.active_id)

    def search() -> None:
        if vector is not None:
            with session.db.transaction() as connection:
                vector_hits(
                    connection, session.db.tenant_id, collection, vector, 10,
                    space_id=change.active_id,  # of which the vector is, whatever serves by now
                )  # fmt: skip

    duty = session.settings.collection(collection.name).reembed.duty
    return Throttle(search, duty=duty, timer=session.timer)


def count_longer(change: Change) -> int:
    """Chunks that the new model does not read to their end."""
    card = change.choice.card
    if not isinstance(card, ModelCard):
        return 0
    return count_truncated(change.session.db, change.collection.id, card.max_tokens)


def prepare_canaries(change: Change) -> Callable[[Connection], list[str]] | None:
    """What asks the canary queries of the new space, inside the transaction that would switch."""
    session, collection = change.session, change.collection
    limits = session.settings.collection(collection.name).gate
    if limits.canaries is None:
        return None
    return prepare_questions(
        session.db, limits, collection.id, change.space_id, card=change.choice.card, embedder=change.load()
    )


def compare(change: Change) -> Comparison | None:
    """Both spaces, asked the same; None where the old model is not here, or there is nothing to ask."""
    session, collection = change.session, change.collection
    settings = session.settings.collection(collection.name)
    if collection.kind == "images":
        return None
    queries = (
        [canary.query for canary in load_canaries(settings.gate.canaries)] if settings.gate.canaries else []
    )
    questions = choose_questions(session.db, collection.id, queries, most=settings.reembed.queries)
    if not questions:
        return None
    try:
        if change.active.has_same_vectors(change.choice.space):
            old = change.load()
        else:
            old = session.load(session.serving(collection).card, change.active_id)
        asked = [old.embed_query(question.text) for question in questions]
    except (ConfigurationError, EmbeddingFailed):  # the old model is not here, or its server does not answer
        return None
    new = change.load()
    before = Side(change.active_id, asked)
    after = Side(change.space_id, [new.embed_query(question.text) for question in questions])
    return compare_spaces(session.db, collection, before, after, questions)


def require_overlap(change: Change, comparison: Comparison | None) -> None:
    """Raise GateFailed where both models find too little in common."""
    least = change.session.settings.collection(change.collection.name).reembed.min_overlap
    if comparison is not None and comparison.overlap < least:
        raise GateFailed(
            f"Both models find {comparison.overlap:.0%} of the same chunks, less than {least:.0%} "
            "(reembed.min_overlap). Searches still read the old vectors.",
            advice="Look at some queries with both. Lower the limit to switch all the same: what is embedded "
            "stays.",
        )
