"""Units of prose: sentences and lines, with headings bound to what follows them."""

from __future__ import annotations

from tasks.chunking.runs import Run, Units
from tasks.chunking.sentences import HEADING, PARAGRAPH, SECTION, SENTENCE, split_sentences


def split_prose(text: str, run: Run) -> Units:
    """Sentences of the run's blocks; a boundary before a heading has rank SECTION.

    Items of a list count as sentences of one paragraph, so that lists stay whole where
    they can.
    """
    units = Units([])
    for index, block in enumerate(run.blocks):
        following = run.blocks[index + 1] if index + 1 < len(run.blocks) else None
        pieces = split_sentences(text, block.start, block.end)
        last = PARAGRAPH
        if following is not None and following.kind == "heading":
            last = SECTION
        elif following is not None and block.kind == following.kind == "list_item":
            last = SENTENCE
        if block.kind == "heading" and following is not None:
            pieces = [(start, end, HEADING) for start, end, _ in pieces]
            last = HEADING
        units.pieces.extend(pieces[:-1])
        units.pieces.append((*pieces[-1][:2], last))
    return units
