"""Hold the election that a run's staged changes make necessary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from registry import election
from registry.candidates import CandidateReader
from registry.connection import Connection
from registry.election import Contestant, Elected
from schemas.duplicate import SIGNATURE_VERSION, Signature, Standing, Verdict
from schemas.settings import DuplicateSettings
from tasks.dedup.candidates import BATCH_TEXTS, explore
from tasks.dedup.pairs import Ids, Judge, PendingPairs, group_all, verify_pairs
from tasks.dedup.winner import Edges, choose_winners
from tasks.metadata import date_from_path
from tasks.sources.patterns import compile_patterns

ELECTION_VERSION = 1
"""Raised whenever the same documents may get another election by the same settings."""

ALL_FROM_SHARE = 0.1
"""Of this share of changed texts on, all are compared: .7 ms a changed text, .07 ms one of all."""


def election_fingerprint(settings: DuplicateSettings) -> bytes:
    """32 bytes: all that decides an election beside the documents."""
    facts: dict[str, Any] = {"policy": settings.policy}
    if settings.policy != "off":
        facts |= {
            "election": ELECTION_VERSION,
            "signature": SIGNATURE_VERSION,
            "threshold": settings.threshold,
            "min_difference": settings.min_difference,
            "rules": settings.rules,
            "authority": settings.authority,
            "drafts": sorted(settings.drafts),
        }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()


@dataclass(frozen=True, slots=True)
class Ballot:
    """The documents that a run's staged changes touch, decided about but not written yet.

    Attributes:
        basis: what it rests on: the release that was current, and how many rows were staged.
        results: of the documents whose election is another one.
        elected_by: the settings.
    """

    basis: tuple[int, int]
    results: list[Elected]
    elected_by: bytes


def elect(
    connection: Connection,
    tenant_id: int,
    collection_id: int,
    run_id: UUID,
    settings: DuplicateSettings,
    *,
    everything: bool = True,
) -> None:
    """Decide and write, in a transaction that holds the collection; arguments as of `decide`."""
    ballot = decide(connection, tenant_id, collection_id, run_id, settings, everything=everything)
    write_ballot(connection, tenant_id, collection_id, run_id, ballot)


def write_ballot(
    connection: Connection, tenant_id: int, collection_id: int, run_id: UUID, ballot: Ballot
) -> bool:
    """Write a decision into the run's staged rows; False, and nothing, if what it rests on is no more.

    Call in a transaction that holds the collection.
    """
    values = {"tenant": tenant_id, "collection": collection_id, "run": run_id}
    release, _, _, staged = election.last_election(connection, values)
    if ballot.basis != (release, staged):
        return False
    election.begin_election(connection, values)
    is_complete = election.write_elected(connection, values, ballot.results)
    election.end_election(
        connection,
        values,
        release=release if is_complete else None,
        elected_by=ballot.elected_by,
    )
    return True


def decide(
    connection: Connection,
    tenant_id: int,
    collection_id: int,
    run_id: UUID,
    settings: DuplicateSettings,
    *,
    everything: bool = True,
) -> Ballot:
    """Decide about the documents that a run's staged changes touch; writes nothing.

    The result is a function of the documents that will be shown and of the settings, whatever the
    order in which they came. Staged changes of documents that another run has changed since count
    for nothing.

    Args:
        connection: in a transaction with one snapshot, or one that holds the collection.
        tenant_id: the tenant.
        collection_id: the collection.
        run_id: whose staged changes.
        settings: policy, threshold and rules.
        everything: compare all documents anew where the settings differ from those of the last election.
    """
    values = {
        "tenant": tenant_id, "collection": collection_id, "run": run_id, "params": SIGNATURE_VERSION,
    }  # fmt: skip
    release, last, size, staged = election.last_election(connection, values)
    fingerprint = election_fingerprint(settings)
    is_other = last != fingerprint
    held = _Election(connection, values, settings)
    if is_other and everything:
        results = held.compare_all()
    elif settings.policy == "off" and not is_other:
        results = []
    else:
        results = held.compare_changed(None if is_other else size)
    # partly by other settings than the rest: the next run that may compares all anew
    elected_by = fingerprint if everything or not is_other else b""
    return Ballot((release, staged), results, elected_by)


class _Election:
    """One election: reads the documents, and judges by the settings."""

    def __init__(self, connection: Connection, values: dict[str, Any], settings: DuplicateSettings) -> None:
        self._connection = connection
        self._values = values
        self._settings = settings
        self._reader = CandidateReader(connection, values)
        self._is_draft = compile_patterns(settings.drafts)

    def compare_changed(self, size: int | None) -> list[Elected]:
        """Results for the documents that the run's changes can concern.

        Args:
            size: documents there are, all of which are compared where that is less work; None for never.
        """
        documents, texts = election.changed_texts(self._connection, self._values)
        if size is not None and len(texts) > max(BATCH_TEXTS, ALL_FROM_SHARE * size):
            return self.compare_all()
        seeds = self.find_dependent(documents)
        judge = None if self._settings.policy == "off" else judge_by(self._settings)
        return self._decide(*explore(self._reader, self, judge, texts, seeds))

    def compare_all(self) -> list[Elected]:
        """Results for all documents."""
        remaining = election.elected_texts(self._connection, self._values)
        results: list[Elected] = []
        if self._settings.policy != "off":
            found = self._reader.read_all()
            remaining.update(found.shared)
            judge = judge_by(self._settings)
            for members, groups in group_all(found):
                texts = [found.texts[index] for index in members.tolist()]
                remaining.difference_update(texts)
                edges = self._compare(texts, [found.ids[index] for index in members.tolist()], groups, judge)
                results += self._decide(self.find(texts), edges)
        for batch in _batches(list(remaining)):
            results += self._decide(self.find(batch), Edges.none())
        return results

    def find(self, texts: Sequence[bytes]) -> list[Contestant]:
        """The documents that will have one of the texts."""
        found: list[Contestant] = []
        for batch in _batches(texts):
            found += election.find_contestants(self._connection, self._values, batch)
        return found

    def find_dependent(self, documents: Sequence[int]) -> set[bytes]:
        """The texts of documents that lost to one of these."""
        return election.dependent_texts(self._connection, self._values, documents) if documents else set()

    def _compare(self, texts: list[bytes], ids: Sequence[int], groups: list[Ids], judge: Judge) -> Edges:
        pending = PendingPairs()
        pending.add_groups(groups)
        parts = verify_pairs(
            pending.take(), lambda found: self._reader.load_signatures([ids[n] for n in found]), judge
        )
        if not parts:
            return Edges.none()
        return Edges(texts, *(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _decide(self, contestants: Sequence[Contestant], edges: Edges) -> list[Elected]:
        verdicts: dict[int, Verdict] = {}
        if self._settings.policy != "off":
            standings = [self._standing(contestant) for contestant in contestants]
            is_hidden = self._settings.policy == "suppress"
            verdicts = choose_winners(standings, edges, self._settings.rules, suppress=is_hidden)
        results = (_result(c, verdicts.get(c.document_id)) for c in contestants)
        return [result for result in results if result is not None]

    def _standing(self, found: Contestant) -> Standing:
        is_draft = self._is_draft is not None and self._is_draft(PurePosixPath(found.uri).name, found.uri)
        authored_at = found.authored_at.replace(tzinfo=UTC) if found.authored_at else None
        return Standing(
            found.document_id,
            found.uri,
            found.source,
            found.text,
            found.published and not is_draft,
            self._settings.authority.get(found.source, 0),
            authored_at,
            found.characters,
            authored_at is not None and authored_at == date_from_path(found.uri),
        )


def judge_by(settings: DuplicateSettings) -> Judge:
    """Compares signatures by the limits of the settings."""
    from tasks.dedup.similarity import SignatureTable, compare

    def judge(
        signatures: Sequence[Signature], left: Ids, right: Ids
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        found = compare(
            SignatureTable(signatures),
            left,
            right,
            threshold=settings.threshold,
            min_difference=settings.min_difference,
        )
        return found.similarity, found.is_duplicate

    return judge


def _result(found: Contestant, verdict: Verdict | None) -> Elected | None:
    """What is to be written, None for nothing."""
    present = None
    if found.base_id == found.version_id and (found.winner_id or found.rule or found.suppressed):
        similarity = None if found.similarity is None else round(found.similarity, 4)
        present = (found.winner_id, found.rule, similarity, found.suppressed)
    next_ = verdict and (verdict.winner_id, verdict.rule, verdict.similarity, verdict.suppressed)
    is_reelected = found.base_id == found.version_id and present != next_
    if not is_reelected and (verdict is None or found.base_id == found.version_id):
        return None
    return Elected(found.document_id, found.version_id, found.base_id, verdict, is_reelected)


def _batches(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(texts), BATCH_TEXTS):
        yield texts[start : start + BATCH_TEXTS]
