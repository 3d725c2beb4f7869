"""`revector forget`: remove every trace of a document, and prove it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from unicodedata import normalize
from uuid import UUID

from flows.electing import with_election
from flows.prototyping import refresh
from flows.purging import hold_flow
from flows.session import Session
from flows.switching import in_one_space
from registry.activation import Elect
from registry.blobs import BlobStore
from registry.collections import get_collection
from registry.connection import Connection
from registry.forget import (
    Place,
    Traces,
    count_traces,
    find_document,
    find_holders,
    find_traces,
    forget_document,
    retire_duplicates,
    some_uris,
)
from registry.purge import foresee, sweep_strays
from registry.runs import mark_crashed_runs
from registry.space import vacuum
from registry.sweeping import find_unused_blobs, sweep_blobs
from schemas.errors import (
    DocumentNotFound,
    EndpointUnavailable,
    ForgetIncomplete,
    HomeNotWritable,
    ModelNotAvailable,
    RevectorError,
    SpaceMismatch,
    SpaceSwitched,
)
from schemas.release import Collection, Release
from schemas.retention import Dropped
from schemas.source import Scope, Source
from tasks.sources.base import Lister, open_lister
from tasks.sources.scratch import sweep as sweep_unpacked

SHOWN_COPIES = 20
ALL_TIMES = datetime(9000, 1, 1, tzinfo=UTC)


def forget(
    session: Session,
    uri: str,
    name: str,
    *,
    source: str | None = None,
    dry_run: bool = False,
    rewrite: bool = False,
) -> dict[str, Any]:
    """Remove a document of a collection with all its past; neither retention nor tags keep it.

    Args:
        session: the open registry.
        uri: the document's.
        name: of the collection.
        source: name of the source, where several have that uri.
        dry_run: only say what would go; writes nothing.
        rewrite: write the database's tables anew, so that their files do not hold the deleted
            bytes; searches wait meanwhile.

    Raises:
        CollectionNotFound, DocumentNotFound: see the classes.
        ForgetIncomplete: the recount found something; the proof is in its facts.
    """
    started = session.timer()
    collection = get_collection(session.db, name)
    uri = normalize("NFC", uri)
    blobs = BlobStore(session.settings.home, session.db.tenant_id)
    try:
        place = _one_place(session, collection, uri, source)
    except DocumentNotFound:
        if not dry_run:  # a forget that was killed after its commit left raw bytes and loose chunks
            mark_crashed_runs(session.db, collection.id)
            _sweep(session, collection, blobs, rewrite=rewrite)
        raise
    report: dict[str, Any] = {
        "collection": name, "run_id": None, "dry_run": dry_run,
        "uri": uri, "source": place.source, "release": None, "retired": [],
    }  # fmt: skip
    if dry_run:
        traces = find_traces(session.db, collection.id, place, uri)
        dropped = foresee(session.db, collection.id, traces.versions)
        unused = find_unused_blobs(session.db, blobs, traces.versions)
        _fill(report, traces, dropped, unused.blobs)
        report["proof"] = count_traces(session.db, collection.id, blobs, traces)
    else:
        with hold_flow(session, collection, "forget", report) as stats:
            traces = _forget(session, collection, blobs, place, uri, report, rewrite=rewrite)
            stats.update({key: report[key] for key in ("release", "versions", "chunks", "vectors", "blobs")})
        report["proof"] = _prove(session, collection, blobs, traces)
    report["warnings"] = [
        *_retired(report["retired"]), *_copies(traces), *_warnings(session, collection, place, uri)
    ]  # fmt: skip
    report["seconds"] = round(session.timer() - started, 4)
    return report


def _one_place(session: Session, collection: Collection, uri: str, source: str | None) -> Place:
    places = find_document(session.db, collection.id, uri)
    found = [place for place in places if source in (None, place.source)]
    if not found:
        where = f" in source {source!r}" if source is not None else ""
        raise DocumentNotFound(
            f"Collection {collection.name!r} has no document {uri!r}{where}.",
            advice=_guess(session, collection, uri, places),
        )
    if len(found) > 1:
        names = ", ".join(place.source for place in found)
        raise DocumentNotFound(
            f"{uri!r} is in {len(found)} sources: {names}.", advice="Say which with --source NAME."
        )
    return found[0]


def _guess(session: Session, collection: Collection, uri: str, places: list[Place]) -> str:
    if places:
        return f"It is in: {', '.join(place.source for place in places)}."
    known = some_uris(session.db, collection.id)
    same_name = [other for other in known if other.endswith(f"/{uri.rsplit('/', 1)[-1]}")][:3]
    near = same_name or difflib.get_close_matches(uri, known, n=3)
    return f"Did you mean {' or '.join(near)}?" if near else "A uri is the path below the source's root."


def _forget(
    session: Session,
    collection: Collection,
    blobs: BlobStore,
    place: Place,
    uri: str,
    report: dict[str, Any],
    *,
    rewrite: bool,
) -> Traces:
    db = session.db
    run_id = UUID(report["run_id"])

    def erase_once() -> tuple[Traces, Dropped, Release | None]:
        now = get_collection(db, collection.name)
        report["retired"] = []

        def erase(elect: Elect) -> tuple[Traces, Dropped, Release | None]:
            return forget_document(db, now, run_id, place, uri, elect=elect)

        try:
            return with_election(session, now, run_id, erase)[0]
        except SpaceSwitched:
            raise
        except (ModelNotAvailable, SpaceMismatch, EndpointUnavailable):  # it does not wait for a model
            return erase(retire)

    def retire(connection: Connection) -> None:
        report["retired"] = retire_duplicates(connection, db.tenant_id, collection.id, run_id, place)

    traces, dropped, release = in_one_space(erase_once)
    refresh(session, collection.name)  # its prototypes went with it
    try:
        strays, swept = _sweep(session, collection, blobs, rewrite=rewrite)
    except HomeNotWritable as exc:
        raise ForgetIncomplete(
            f"The document is gone from the database, its raw bytes are not: {exc.message}",
            advice="Make room or give this user the right to write there, then run `revector purge`: it "
            "deletes the bytes that no document has.",
        ) from exc
    report["release"] = release.number if release else None
    _fill(report, traces, dropped + strays, swept)
    return traces


def _sweep(
    session: Session, collection: Collection, blobs: BlobStore, *, rewrite: bool
) -> tuple[Dropped, int]:
    """What crashed runs left may be of the document, and nothing says of which it is."""
    sweep_unpacked(session.settings.home / "unpacked")
    strays = sweep_strays(session.db, collection.id, stored_before=ALL_TIMES)
    swept = sweep_blobs(session.db, blobs)
    vacuum(session.db, collection.id, rewrite=rewrite)
    return strays, swept.blobs


def _fill(report: dict[str, Any], traces: Traces, dropped: Dropped, blobs: int) -> None:
    report.update(
        versions=len(traces.versions),
        chunks=dropped.chunks,
        vectors=dropped.vectors,
        parsed=dropped.parsed,
        signatures=dropped.signatures,
        blobs=blobs,
        shared={"chunks": traces.shared_chunks, "documents": traces.shared_documents},
    )


def _prove(session: Session, collection: Collection, blobs: BlobStore, traces: Traces) -> dict[str, int]:
    proof = count_traces(session.db, collection.id, blobs, traces)
    if left := {name: count for name, count in proof.items() if count}:
        listed = ", ".join(f"{count} {name}" for name, count in left.items())
        raise ForgetIncomplete(
            f"{traces.uri} is not forgotten: {listed} are left.",
            advice="An ingest is at work: take it out of the source, and forget it again."
            if proof["documents"]
            else "When no other run is at work, `revector purge` removes what no document needs.",
            proof=proof,
        )
    return proof


def _retired(uris: list[str]) -> list[str]:
    if not uris:
        return []
    shown = ", ".join(uris[:SHOWN_COPIES]) + (" ..." if len(uris) > SHOWN_COPIES else "")
    return [
        f"It stood for {shown}: without the embedding model they cannot be shown, and are retired. The next "
        "ingest adds them again."
    ]


def _copies(traces: Traces) -> list[str]:
    """Forgetting one leaves the other: a moved document's past under its old name, a near-duplicate."""
    near = [copy for copy in traces.near_copies if copy not in traces.same_bytes]
    said = (
        (traces.same_bytes, "The same bytes are, or were, also shown as"),
        (near, "Near-duplicates, with nearly the same text, are"),
    )
    return [f"{what} {_name(copies)}. Forget these too if they must go." for copies, what in said if copies]


def _name(copies: Sequence[tuple[str, str]]) -> str:
    shown = ", ".join(f"{uri} ({source})" for source, uri in copies[:SHOWN_COPIES])
    more = len(copies) - SHOWN_COPIES
    return shown + (f" and {more} more" if more > 0 else "")


def _warnings(session: Session, collection: Collection, place: Place, uri: str) -> list[str]:
    settings = session.settings.collection(collection.name)
    source = Source(place.source, place.root_url, settings.include, settings.exclude)
    home, follow_links = session.settings.home.resolve(), settings.follow_links
    try:
        lister = open_lister(source, home=home, follow_links=follow_links)
        holder = _holder(lister, source, uri)
    except (RevectorError, OSError) as exc:
        return [f"Whether the source still holds it could not be seen ({type(exc).__name__})."]
    if holder == uri:
        return ["The source still holds it: the next ingest adds it again. Remove it there, or exclude it."]
    if holder:
        return [
            *_held_by_mails(session, place, uri),
            f"The source still holds {holder}, in which it lay: the next ingest looks inside. Remove it "
            "there, or exclude it.",
        ]
    return _held_by_mails(session, place, uri)


def _held_by_mails(session: Session, place: Place, uri: str) -> list[str]:
    holders = find_holders(session.db, place.source_id, uri)
    if not holders:
        return []
    return [f"It was attached to {', '.join(holders)}, whose raw bytes hold it: forget the mail too."]


def _holder(lister: Lister, source: Source, uri: str) -> str | None:
    """The file in which the next ingest of the whole source would find it, patterns included."""
    items = lister.list(Scope(source, names=frozenset({uri}))).items
    parts = uri.split("/")
    return next((file for n in range(len(parts), 0, -1) if (file := "/".join(parts[:n])) in items), None)
