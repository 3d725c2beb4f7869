"""Which texts share a band of their signature, and are shown."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from registry.connection import Connection
from registry.queries import load
from schemas.duplicate import Signature

_SQL = load("election")


class TextState(NamedTuple):
    """A text that a run's changes touch.

    Attributes:
        text: its sha256.
        signature_id: None where it has no signature.
        bands: of the signature.
        before: whether a document that is shown has it.
        after: whether one will after the run.
    """

    text: bytes
    signature_id: int | None
    bands: Sequence[int]
    before: bool
    after: bool


@dataclass(frozen=True, slots=True)
class AllTexts:
    """All texts that will be shown.

    Attributes:
        texts: sha256 of those with a signature.
        ids: (N,) their signatures.
        bands: the bands of all, one after the other.
        owners: of each band, the index of its text.
        shared: those that several documents have, with a signature or without.
    """

    texts: list[bytes] = field(default_factory=list)
    ids: array[int] = field(default_factory=lambda: array("q"))
    bands: array[int] = field(default_factory=lambda: array("q"))
    owners: array[int] = field(default_factory=lambda: array("i"))
    shared: list[bytes] = field(default_factory=list)


class CandidateReader:
    """Reads signatures and bands of one collection.

    Args:
        connection: in a transaction.
        values: tenant, collection, run and params (the version of signatures).
    """

    def __init__(self, connection: Connection, values: dict[str, Any]) -> None:
        self._connection = connection
        self._values = values

    def find_states(self, texts: Sequence[bytes]) -> list[TextState]:
        """Each text before and after the run."""
        rows = self._fetch("text_states", texts=list(texts))
        return [TextState(bytes(text), id_, bands or (), *shown) for text, id_, bands, *shown in rows]

    def find_signatures(self, texts: Sequence[bytes]) -> list[tuple[bytes, int, Sequence[int]]]:
        """(text, id, bands) of those that have a signature."""
        return [
            (bytes(text), id_, bands)
            for text, id_, bands in self._fetch("signatures_of_texts", texts=list(texts))
        ]

    def load_signatures(self, ids: Sequence[int]) -> list[Signature]:
        """The signatures in that order, without their bands."""
        cursor = self._connection.execute(
            _SQL["load_signatures"], {**self._values, "ids": list(ids)}, prepare=False, binary=True
        )
        found: dict[int, Signature] = {row[0]: Signature(*row[1:]) for row in cursor}
        return [found[id_] for id_ in ids]

    def find_members(self, bands: Sequence[int], most: int) -> dict[int, list[int]]:
        """Signatures that have a band, shown or not, of bands that at least two have; up to `most` + 1."""
        return dict(self._fetch("band_members", bands=list(bands), most=most))

    def find_shown_members(
        self, bands: Sequence[int], most: int, *, without: Sequence[int]
    ) -> dict[int, dict[int, bytes]]:
        """Those alone whose text is shown now, with the text; up to `most` + 1.

        Args:
            bands: hashes.
            most: of a band.
            without: signatures that do not count.
        """
        rows = self._fetch("shown_members", bands=list(bands), most=most, without=list(without))
        return {band: dict(zip(ids, map(bytes, texts), strict=True)) for band, ids, texts in rows}

    def find_shown(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Those of the signatures whose text is shown now, with the text."""
        return {id_: bytes(text) for id_, text in self._fetch("shown_signatures", ids=list(ids))}

    def read_all(self) -> AllTexts:
        """All texts that will be shown, read as a stream."""
        found = AllTexts()
        self._allow_nested_loops("off")
        with self._connection.cursor(binary=True) as cursor:
            for text, documents, id_, bands in cursor.stream(_SQL["all_texts"], self._values):
                if documents > 1:
                    found.shared.append(bytes(text))
                if id_ is not None:
                    found.bands.extend(bands)
                    found.owners.extend([len(found.texts)] * len(bands))
                    found.texts.append(bytes(text))
                    found.ids.append(id_)
        self._allow_nested_loops("on")
        return found

    def _allow_nested_loops(self, allowed: str) -> None:
        self._connection.execute(_SQL["join_row_by_row"], {"allowed": allowed})

    def _fetch(self, statement: str, **more: Any) -> list[tuple[Any, ...]]:
        """All rows, by a plan for these values: one kept from when the tables were small would be slow."""
        cursor = self._connection.execute(_SQL[statement], {**self._values, **more}, prepare=False)
        return cursor.fetchall()
