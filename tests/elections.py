"""Elections in small: a text is a set of numbers, each a band of its signature; and who should win."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np

from registry.activation import apply_staged
from registry.collections import ensure_collection, ensure_source, ensure_space
from registry.connection import Connection, Database
from registry.runs import hold_new_run
from registry.signatures import store_signatures
from registry.staging import drop_staged
from schemas.duplicate import Signature, Standing
from schemas.embedding import EmbeddingSpace
from schemas.release import Activation
from schemas.settings import DuplicateSettings
from schemas.source import Source
from tasks.dedup.elect import elect

UNSIGNED = 99
"""A text that holds this number has no signature."""

Text = frozenset[int]


def text_sha256(text: Text) -> bytes:
    return hashlib.sha256(repr(sorted(text)).encode()).digest()


def sign(text: Text) -> Signature:
    shingles = np.array(sorted(text), "<u4").tobytes()
    return Signature("text", b"x", shingles, b"", b"", 10 * len(text), tuple(sorted(text)))


def similarity_of(left: Text, right: Text) -> float:
    return float(np.float32(len(left & right) / len(left | right)))


def judge_sets(settings: DuplicateSettings) -> Callable[..., Any]:
    """Stands in for the comparison of real signatures; easier to please by .3."""

    def judge(signatures: Sequence[Signature], left: Any, right: Any) -> tuple[Any, Any]:
        texts = [frozenset(np.frombuffer(s.shingles, "<u4").tolist()) for s in signatures]
        alike = [similarity_of(texts[a], texts[b]) for a, b in zip(left, right, strict=True)]
        similarity = np.array(alike, np.float32)
        return similarity, similarity >= settings.threshold - 0.3

    return judge


@dataclass(frozen=True)
class Paper:
    """A document as a user sees it."""

    text: Text
    published: bool = True
    authored: int | None = None


@dataclass
class Shelf:
    """Papers by (source, uri), and their document ids: all that an election depends on."""

    papers: dict[tuple[str, str], Paper] = field(default_factory=dict)
    ids: dict[tuple[str, str], int] = field(default_factory=dict)

    def standings(self, settings: DuplicateSettings) -> dict[Standing, Text]:
        return {
            Standing(
                self.ids[source, uri],
                uri,
                source,
                text_sha256(paper.text),
                paper.published and not any(uri.startswith(glob.rstrip("*")) for glob in settings.drafts),
                settings.authority.get(source, 0),
                date_of(paper.authored),
                0 if UNSIGNED in paper.text else 10 * len(paper.text),
            ): paper.text
            for (source, uri), paper in self.papers.items()
        }

    def expected(self, settings: DuplicateSettings, most: int) -> dict[tuple[str, str], tuple[Any, ...]]:
        """Winner's name, rule, similarity and whether hidden, of each paper; None for winners."""
        names = {id_: name for name, id_ in self.ids.items()}
        everyone = self.standings(settings)
        holders = Counter(band for text in set(everyone.values()) if UNSIGNED not in text for band in text)
        limit = settings.threshold - 0.3
        winners: list[Standing] = []
        out: dict[tuple[str, str], tuple[Any, ...]] = {}

        def alike(a: Standing, b: Standing) -> float | None:
            left, right = everyone[a], everyone[b]
            if settings.policy == "off":
                return None
            if left == right:
                return 1.0
            shared = [band for band in left & right if holders[band] <= most]
            if UNSIGNED in left | right or not shared or similarity_of(left, right) < limit:
                return None
            return similarity_of(left, right)

        for standing in rank_plainly(everyone, settings.rules):
            over = [(winner, s) for winner in winners if (s := alike(winner, standing)) is not None]
            if not over:
                winners.append(standing)
                out[names[standing.document_id]] = (None, None, None, False)
            else:
                winner, similarity = over[0]
                rule = next((r for r in settings.rules if better(winner, standing, r)), "uri")
                hidden = settings.policy == "suppress"
                out[names[standing.document_id]] = (
                    names[winner.document_id], rule, round(similarity, 4), hidden,
                )  # fmt: skip
        return out


def date_of(days: int | None) -> datetime | None:
    return None if days is None else datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=days)


def better(a: Standing, b: Standing, rule: str) -> bool:
    """Whether `a` beats `b` by a rule; written apart from the code under test."""
    if rule == "published":
        return a.published and not b.published
    if rule == "authority":
        return a.authority > b.authority
    if rule == "date":
        if a.authored_at is None or b.authored_at is None:
            return b.authored_at is None and a.authored_at is not None
        return a.authored_at > b.authored_at
    if rule == "length":
        return a.characters > b.characters
    if rule == "first_seen":
        return a.document_id < b.document_id
    return a.uri < b.uri


def rank_plainly(standings: Any, rules: Sequence[str]) -> list[Standing]:
    """The best first, by insertion."""
    ranked: list[Standing] = []
    for new in standings:
        place = 0
        while place < len(ranked) and _comes_first(ranked[place], new, rules):
            place += 1
        ranked.insert(place, new)
    return ranked


def _comes_first(a: Standing, b: Standing, rules: Sequence[str]) -> bool:
    for rule in rules:
        if better(a, b, rule) or better(b, a, rule):
            return better(a, b, rule)
    return (a.uri, a.source, a.document_id) < (b.uri, b.source, b.document_id)


class Library:
    """A collection whose papers are put, changed and taken by staged rows; no files, chunks and models."""

    def __init__(self, db: Database, name: str = "default", sources: Sequence[str] = ("one", "two")) -> None:
        self.db = db
        self.name = name
        self.collection = ensure_collection(db, name).id
        self.sources = {
            source: ensure_source(db, self.collection, Source(source, f"/{name}/{source}")).id
            for source in sources
        }
        space = EmbeddingSpace("text", "fake", "plain", "1", 8)
        self.space = ensure_space(db, space)
        self.fingerprint = space.fingerprint
        with db.connection() as connection:
            connection.execute("SELECT create_vector_partition(%s, %s)", [self.space, self.collection])
        self.shelf = Shelf()
        self.version: dict[tuple[str, str], int] = {}
        self.past: defaultdict[tuple[str, str], dict[Paper, int]] = defaultdict(dict)
        self._count = 0

    def values(self, run: UUID) -> dict[str, Any]:
        return {"tenant": self.db.tenant_id, "collection": self.collection, "run": run}

    def new_run(self) -> UUID:
        run = uuid4()
        with hold_new_run(self.db, self.collection, run, flow="ingest", trigger="manual", scope="/"):
            return run

    def apply(
        self, changes: dict[tuple[str, str], Paper | None], settings: DuplicateSettings, **options: Any
    ) -> Activation:
        """Stage the changes (None takes a paper away), elect, and make a release."""
        run = self.new_run()
        with self.db.transaction() as connection:
            self.stage(connection, run, changes)
        activation = self.activate(run, settings, **options)
        for name, paper in changes.items():
            if paper is None:
                self.shelf.papers.pop(name, None)
                self.version.pop(name, None)
            else:
                self.shelf.papers[name] = paper
                self.version[name] = self.past[name][paper]
        return activation

    def activate(
        self, run: UUID, settings: DuplicateSettings, *, elected_before: bool = False, **options: Any
    ) -> Activation:
        def hold(connection: Connection) -> None:
            elect(connection, self.db.tenant_id, self.collection, run, settings, **options)

        if elected_before:  # as the pipeline does, before it embeds
            with self.db.transaction() as connection:
                hold(connection)
        with self.db.transaction() as connection:
            done = apply_staged(
                connection, self.values(run), self.space, self.fingerprint, kind="ingest", elect=hold
            )
            drop_staged(connection, self.values(run))
        return done

    def stage(
        self, connection: Connection, run: UUID, changes: dict[tuple[str, str], Paper | None], **wrong: Any
    ) -> None:
        """Stage changes; `wrong` replaces the version that they are based on."""
        for name, paper in changes.items():
            base = wrong.get("base", self.version.get(name))
            version = None if paper is None else self._version(connection, run, name, paper)
            if paper is not None:
                action = "restat" if version == base else "added" if base is None else "changed"
            elif base is None:
                continue
            else:
                action = "deleted"
            connection.execute(
                "INSERT INTO staged_change (tenant_id, collection_id, run_id, document_id, action, "
                "version_id, base_version_id) VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [self.db.tenant_id, self.collection, run, self.shelf.ids[name], action, version, base],
            )

    def _version(self, connection: Connection, run: UUID, name: tuple[str, str], paper: Paper) -> int:
        if name not in self.shelf.ids:
            source, uri = name
            self.shelf.ids[name] = _one(
                connection,
                "INSERT INTO document (tenant_id, collection_id, source_id, uri) "
                "VALUES (%s, %s, %s, %s) RETURNING id",
                [self.db.tenant_id, self.collection, self.sources[source], uri],
            )
        if paper not in self.past[name]:
            self._count += 1
            sha256 = hashlib.sha256(f"{name} {self._count}".encode()).digest()
            self.past[name][paper] = _one(
                connection,
                "INSERT INTO document_version (tenant_id, collection_id, document_id, version, "
                "content_sha256, parser, fingerprint, text_sha256, metadata_sha256, mime, authored_at, "
                "published, chunks, digest, created_run) "
                "VALUES (%s, %s, %s, %s, %s, '', '', %s, '', '', %s, %s, 0, %s, %s) RETURNING id",
                [
                    self.db.tenant_id, self.collection, self.shelf.ids[name], len(self.past[name]) + 1,
                    sha256, text_sha256(paper.text), date_of(paper.authored), paper.published, sha256, run,
                ],
            )  # fmt: skip
            if UNSIGNED not in paper.text:
                signatures = {text_sha256(paper.text): sign(paper.text)}
                store_signatures(connection, self.db.tenant_id, self.collection, signatures)
        return self.past[name][paper]

    def shown(self) -> dict[tuple[str, str], tuple[Any, ...]]:
        """As `Shelf.expected`, of what the current release shows."""
        with self.db.connection() as connection:
            rows = connection.execute(
                "SELECT s.name, d.uri, ws.name, w.uri, a.rule, a.similarity, a.suppressed FROM activation a "
                "JOIN document d ON d.id = a.document_id JOIN source s ON s.id = d.source_id "
                "LEFT JOIN document w ON w.id = a.winner_id LEFT JOIN source ws ON ws.id = w.source_id "
                "WHERE a.collection_id = %s AND a.to_release IS NULL",
                [self.collection],
            ).fetchall()
        return {
            (source, uri): (
                (of, winner) if winner else None, rule, None if alike is None else round(alike, 4), hidden,
            )
            for source, uri, of, winner, rule, alike, hidden in rows
        }  # fmt: skip

    def problems(self) -> list[str]:
        """What is never allowed, whatever the settings."""
        shown = self.shown()
        return [
            f"{name} belongs to {winner}, which is {shown.get(winner)}"
            for name, (winner, *_) in shown.items()
            if winner is not None and shown.get(winner, (1,))[0] is not None
        ]


def _one(connection: Connection, query: str, values: list[Any]) -> int:
    row = connection.execute(query, values).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])
