"""The quality gate: is what a run staged fit to be shown?"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize
from uuid import UUID

from registry.collections import get_collection_by_id
from registry.connection import Connection, Database
from registry.gate import staged_facts
from registry.search import search_open
from schemas.errors import ConfigurationError, GateFailed
from schemas.gate import FEW_CHARACTERS, Canary, StagedFacts
from schemas.settings import GateSettings
from tasks.embedding.base import Embedder
from tasks.embedding.probing import verify
from tasks.embedding.resolve import Card
from tasks.prototypes.guarding import judge_classes
from tasks.querying import query_weight
from tasks.workspace import Workspace


def check_gate(workspace: Workspace) -> None:
    """Judge the numbers of what was staged.

    Raises:
        GateFailed: it is not fit; it stays staged and the previous release serves on.
    """
    target = workspace.require_target()
    few = FEW_CHARACTERS if workspace.kind == "documents" else 0  # an image needs no caption
    facts = staged_facts(workspace.db, target.collection_id, target.space_id, target.run_id, few=few)
    if facts.missing_vectors:
        raise GateFailed(
            f"{facts.missing_vectors} staged chunks have no vector. The release was not activated.",
            advice="Run the ingest again: it embeds what is missing.",
            missing_vectors=facts.missing_vectors,
        )
    failures = judge(facts, workspace.collection.gate)
    if workspace.kind == "images":
        failures += judge_classes(workspace, facts.current_release)
    if failures:
        raise _failed(target.run_id, failures)


def judge(facts: StagedFacts, limits: GateSettings) -> list[str]:
    """What is wrong with a staged release, one sentence each.

    Shares are judged only against a release that would be replaced, and from
    `limits.min_documents` documents on: one bad file of two is no trend.
    """
    failures = []
    if facts.bad_vectors:
        failures.append(f"{facts.bad_vectors} vectors are zero or not of unit length")
    if facts.current_release == 0 or facts.staged + facts.hidden == 0:
        return failures
    shares = [
        (facts.empty, facts.documents, limits.max_empty_share,
         f"documents hold fewer than {FEW_CHARACTERS} characters", "max_empty_share"),
        (facts.rejected, facts.documents + facts.rejected, limits.max_rejected_share,
         "documents were rejected", "max_rejected_share"),
        (facts.hidden, facts.shown, limits.max_hidden_share,
         "documents would be hidden as duplicates", "max_hidden_share"),
    ]  # fmt: skip
    for part, whole, limit, what, name in shares:
        if whole >= limits.min_documents and part > limit * whole:
            failures.append(f"{part} of {whole} {what} (gate.{name} = {limit:g})")
    fall = facts.chunks_before - facts.chunks_after
    if facts.changed >= limits.min_documents and fall > limits.max_chunk_fall * facts.chunks_before:
        failures.append(
            f"{facts.changed} changed documents have {facts.chunks_after} chunks instead of "
            f"{facts.chunks_before} (gate.max_chunk_fall = {limits.max_chunk_fall:g})"
        )
    return failures


def load_canaries(path: Path) -> list[Canary]:
    """The queries of a TOML file of ``[[canary]]`` tables with `query`, `document` and maybe `k`.

    Raises:
        ConfigurationError: the file cannot be read, or does not say that.
    """
    advice = (
        'Write [[canary]] tables with query = "..." and document = "uri", as docs/CONFIGURATION.md shows.'
    )
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("canary", [])
        canaries = [_in_nfc(Canary(**table)) for table in tables if _has_keys(table)]
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"The canary file {path} cannot be read: {exc}.", advice=advice) from exc
    except (TypeError, AttributeError, ValueError) as exc:
        raise ConfigurationError(f"The canary file {path} is not valid: {exc}.", advice=advice) from exc
    for canary in canaries:
        texts = isinstance(canary.query, str) and isinstance(canary.document, str)
        if not (texts and canary.query.strip() and isinstance(canary.k, int) and 1 <= canary.k <= 1000):
            raise ConfigurationError(f"The canary file {path} is not valid: {canary}.", advice=advice)
    if not canaries:
        raise ConfigurationError(f"The canary file {path} holds no canary.", advice=advice)
    return canaries


def _in_nfc(canary: Canary) -> Canary:
    """Uris are in NFC; a name copied from a folder of macOS is not."""
    if not isinstance(canary.document, str):
        return canary
    return canary._replace(document=normalize("NFC", canary.document))


def _has_keys(table: dict[str, object]) -> bool:
    """Raises a ValueError that names what is missing or not known."""
    if unknown := table.keys() - set(Canary._fields):
        raise ValueError(f"{', '.join(sorted(unknown))} is no key of a canary")
    if missing := {"query", "document"} - table.keys():
        raise ValueError(f"a canary has no {', '.join(sorted(missing))}")
    return True


def prepare_canaries(workspace: Workspace) -> Callable[[Connection], None] | None:
    """What asks the canary queries inside the transaction that would show the release.

    The queries are embedded here, before the transaction: no lock waits for a model.

    Returns:
        None where no canaries are configured. The function raises `GateFailed` where too many
        queries do not find their document.
    """
    if workspace.collection.gate.canaries is None:
        return None
    target = workspace.require_target()
    ask = prepare_questions(
        workspace.db,
        workspace.collection.gate,
        target.collection_id,
        target.space_id,
        card=workspace.card,
        embedder=workspace.embedder,
    )

    def gate(connection: Connection) -> None:
        if failures := ask(connection):
            raise _failed(target.run_id, failures)

    return gate


def prepare_questions(
    db: Database, limits: GateSettings, collection_id: int, space_id: int, *, card: Card, embedder: Embedder
) -> Callable[[Connection], list[str]]:
    """What asks the canary queries, embedded here, of a space, and says what is wrong.

    Args:
        db: the registry.
        limits: with canaries.
        collection_id: where to search.
        space_id: that the collection has when they are asked.
        card: of the model.
        embedder: the model.
    """
    assert limits.canaries is not None
    verify(db, space_id, embedder)
    canaries = load_canaries(limits.canaries)
    vectors = [embedder.embed_query(canary.query) for canary in canaries]
    weights = [query_weight(canary.query, card, embedder) for canary in canaries]

    def ask(connection: Connection) -> list[str]:
        collection = get_collection_by_id(connection, db.tenant_id, collection_id)
        lost = []
        for canary, vector, weight in zip(canaries, vectors, weights, strict=True):
            hits = search_open(
                connection,
                db.tenant_id,
                collection,
                k=canary.k,
                text=canary.query,
                vector=vector,
                space_id=space_id,
                vector_weight=weight,
            )
            # one that another document stands for is found with it
            if all(canary.document not in (*hit.documents, *hit.duplicates) for hit in hits):
                lost.append(f"{canary.query!r} does not find {canary.document} among {canary.k}")
        found = len(canaries) - len(lost)
        if found >= limits.min_canary_share * len(canaries):
            return []
        return [
            f"{found} of {len(canaries)} canary queries find their document "
            f"(gate.min_canary_share = {limits.min_canary_share:g}): {'; '.join(lost[:10])}"
        ]

    return ask


def _failed(run_id: UUID, failures: list[str]) -> GateFailed:
    return GateFailed(
        f"The gate held the release back: {'. '.join(failures)}. The previous release serves on.",
        advice=f"Look at it with `revector diff {run_id}`. Show it all the same with `revector activate "
        f"{run_id}`, or drop it with `revector activate {run_id} --discard`.",
        run_id=str(run_id),
        failures=failures,
    )
