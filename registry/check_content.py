"""Do chunks and versions hold what they are named by? As git does with its objects."""

from __future__ import annotations

from typing import Any

from registry.check_history import stream_rows
from registry.connection import Connection
from registry.queries import load
from schemas.check import CONTENT, PLACES, TEXTS, CheckReport, Problem
from schemas.chunk import chunk_hash
from schemas.digest import version_digest

_SQL = load("check")


def check_content(connection: Connection, values: dict[str, Any], report: CheckReport) -> None:
    """Places of chunks in versions, texts of chunks by their hash, versions by their digest."""
    row = connection.execute(_SQL["wrong_places"], values).fetchone()
    assert row is not None
    wrong, report.checked["versions"], report.checked["places"] = row
    _report(report, PLACES, wrong, "versions have too few, too many or gaps")
    wrong = sum(
        chunk_hash(text, kind, content) != hash_
        for hash_, kind, text, content in stream_rows(connection, "chunk_texts", values, at_once=1000)
    )
    _report(report, TEXTS, wrong, "chunks have another text or kind")
    wrong = sum(
        version_digest(uri, text, metadata, fingerprint, [hashes]) != digest
        for uri, text, metadata, fingerprint, digest, hashes in stream_rows(
            connection, "version_contents", values, at_once=1000
        )
    )
    _report(report, CONTENT, wrong, "versions have other chunks, names or pipelines")


def _report(report: CheckReport, invariant: str, count: int, what: str) -> None:
    if count:
        report.problems.append(Problem(invariant, f"{count} {what}"))
