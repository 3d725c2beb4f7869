"""How two spaces of a collection compare: the same questions, asked of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from registry.connection import Database
from registry.reembedding import sample_chunks
from registry.search import vector_hits
from schemas.reembed import Comparison
from schemas.release import Collection
from tasks.embedding.base import Vectors

HITS = 10
QUERY_CHARACTERS = 300
"""Of a chunk whose beginning serves as a question."""


@dataclass(frozen=True, slots=True)
class Side:
    """A space, and the questions as its model embeds them: (D,) float32 each."""

    space_id: int
    vectors: Sequence[Vectors]


class Question(NamedTuple):
    """A text, and the chunk that it was taken from: 0 for a query of a person."""

    text: str
    chunk: int = 0


def choose_questions(
    db: Database, collection_id: int, queries: Sequence[str], *, most: int
) -> list[Question]:
    """Canary queries, then beginnings of chunks; the same ones as long as the release shows them."""
    chunks = sample_chunks(db, collection_id, most=most)
    sampled = [Question(text[:QUERY_CHARACTERS], id_) for id_, text in chunks if text.strip()]
    return [*map(Question, queries), *sampled]


def compare_spaces(
    db: Database, collection: Collection, before: Side, after: Side, questions: Sequence[Question]
) -> Comparison | None:
    """What both spaces find in vector search of the current release; None without questions.

    Reads only, and shows nothing: the collection goes on with the space it has.
    """
    if not questions:
        return None
    overlap, wanted, got = 0.0, 0, 0
    for number, question in enumerate(questions):
        old, _ = _hits(db, collection, before, question, number)
        new, exact = _hits(db, collection, after, question, number)
        overlap += len(set(old) & set(new)) / max(1, len(old))
        wanted += len(exact)
        got += len(set(exact) & set(new))
    return Comparison(
        queries=len(questions),
        k=HITS,
        overlap=round(overlap / len(questions), 4),
        recall=round(got / wanted, 4) if wanted else 1.0,
    )


def _hits(
    db: Database, collection: Collection, side: Side, question: Question, number: int
) -> tuple[list[int], list[int]]:
    """Chunks that a search finds, and those that are nearest; without the one that asks."""
    both = []
    for exact in (False, True):
        with db.transaction() as connection:
            hits = vector_hits(
                connection, db.tenant_id, collection, side.vectors[number], HITS + 1,
                space_id=side.space_id, exact=exact,
            )  # fmt: skip
        both.append([chunk for chunk, _ in hits if chunk != question.chunk][:HITS])
    return both[0], both[1]
