"""From a clean document to its chunks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from schemas.chunk import Chunk, ChunkingPolicy
from schemas.document import Block, CleanDocument
from tasks.chunking.code import split_code
from tasks.chunking.cut import boundary_keys, cut
from tasks.chunking.measure import Counter, measure
from tasks.chunking.prose import split_prose
from tasks.chunking.runs import Run, Units, split_runs
from tasks.chunking.table import split_table
from tasks.chunking.tokens import TokenCounter

if TYPE_CHECKING:
    from tasks.embedding.card import ModelCard

# Part of the pipeline fingerprint: raise it when the same text gets other chunks.
CHUNKING_VERSION = 1

_MAX_TOKENS = 512
_MIN_SHARE = 0.4
_SPLIT: dict[str, Callable[[str, Run], Units]] = {
    "text": split_prose,
    "table": split_table,
    "code": split_code,
}


@dataclass(frozen=True, slots=True)
class _Part:
    """A chunk to be: a span, and the header its text repeats (a table's)."""

    run: Run
    start: int
    end: int
    header: str = ""

    def text(self, document: str) -> str:
        body = document[self.start : self.end]
        return f"{self.header}\n{body}" if self.header else body


def default_policy(card: ModelCard) -> ChunkingPolicy:
    """Chunks of up to 512 tokens, or the model's limit, and not under 40 % of that."""
    maximum = min(card.max_tokens, _MAX_TOKENS)
    return ChunkingPolicy(
        max_tokens=maximum,
        min_tokens=int(maximum * _MIN_SHARE),
        tokenizer=TokenCounter.for_model(card.path).identity,
    )


def chunk_document(document: CleanDocument, policy: ChunkingPolicy, counter: Counter) -> tuple[Chunk, ...]:
    """Cut a document into chunks, by content: an edit changes the chunks around it only.

    Spans are in order, do not overlap, and together hold every character that is not
    white space. No chunk has more than ``policy.max_tokens`` tokens.

    Returns:
        Chunks in reading order; empty for a document without text.
    """
    text = document.text
    runs = split_runs(document.blocks)
    units = [_SPLIT[run.kind](text, run) for run in runs]
    parts: list[_Part] = []
    measured = measure(text, units, counter, policy.max_tokens)
    for run, unit, (pieces, costs, room) in zip(runs, units, measured, strict=True):
        if room >= int(costs.sum()):
            ends = [(0, len(pieces))]
        else:
            keys = boundary_keys([text[s:e] for s, e, _ in pieces], [p[2] for p in pieces])
            # Methods are often shorter than prose may be cut; lines are the worse place.
            minimum = policy.min_tokens // 2 if run.kind == "code" else policy.min_tokens
            ends = cut(costs, keys, minimum=min(minimum, room // 2), maximum=room)
        for first, end in ends:
            start = pieces[first][0]
            if first == 0 and unit.header:
                # The first chunk of a table stands with its header in the document itself.
                parts.append(_Part(run, unit.header_start, pieces[end - 1][1]))
            else:
                parts.append(_Part(run, start, pieces[end - 1][1], unit.header))
    return tuple(_make_chunks(document, parts, counter, policy.max_tokens))


def _make_chunks(
    document: CleanDocument, parts: list[_Part], counter: Counter, maximum: int
) -> Iterator[Chunk]:
    starts = [block.start for block in document.blocks]
    for part, body, tokens in _fit(document.text, parts, counter, maximum):
        block = document.blocks[max(0, bisect_right(starts, part.start) - 1)]
        yield Chunk(
            text=body,
            kind=part.run.kind,
            tokens=tokens,
            start=part.start,
            end=part.end,
            page=block.page,
            heading=_heading(part.run, block),
        )


def _heading(run: Run, block: Block) -> str:
    # A heading may stand before a definition; the definition is the run's last block.
    return (run.blocks[-1].symbol if run.kind == "code" else "") or block.heading


def _fit(text: str, parts: list[_Part], counter: Counter, maximum: int) -> Iterator[tuple[_Part, str, int]]:
    """Parts with their text and exact count; the few that joined units made too long, halved.

    Counts of units do not always add up: some tokenizers join across white space.
    """
    bodies = [part.text(text) for part in parts]
    for part, body, tokens in zip(parts, bodies, counter.count(bodies), strict=True):
        if tokens <= maximum or part.end - part.start < 2:
            yield part, body, tokens
        else:
            yield from _fit(text, _halve(text, part), counter, maximum)


def _halve(text: str, part: _Part) -> list[_Part]:
    middle = (part.start + part.end) // 2
    before = text.rfind(" ", part.start + 1, middle)
    after = text.find(" ", middle, part.end - 1)
    spaces = [place for place in (before, after) if place > 0]
    middle = min(spaces, key=lambda place: abs(place - middle)) if spaces else middle
    head, tail = text[part.start : middle].rstrip(), text[middle : part.end].lstrip()
    if not head or not tail:
        return [replace(part, start=part.end - len(tail)) if tail else part]
    return [
        replace(part, end=part.start + len(head)),
        replace(part, start=part.end - len(tail)),
    ]
