"""A window of documents, from bytes to chunks: fetch, blob, parse, clean, mask, chunk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from registry.documents import stored_versions
from registry.runs import RejectionRow
from registry.staging import ParsedRow
from schemas.digest import version_digest
from schemas.document import ParsedDocument
from schemas.errors import DocumentError, EmptyDocument, ParseFailed, TextTooLong
from schemas.release import Rejection
from schemas.version import Action, StagedDocument, StoredVersion, VersionDraft, metadata_sha256
from tasks.chunking.base import chunk_document
from tasks.cleaning import clean
from tasks.dedup.signature import text_signature
from tasks.fetching import Fetched, fetch
from tasks.masking import mask_document
from tasks.metadata import complete_metadata, is_published
from tasks.parsing.base import choose_parser
from tasks.parsing.formats import PARSERS
from tasks.parsing.sniff import HEAD_BYTES
from tasks.pipeline_fingerprint import by_ocr, under_limits
from tasks.reading import DocumentJob, WorkItem, read_jobs
from tasks.workspace import Workspace

FETCH_THREADS = 4

log = logging.getLogger(__name__)


class Window:
    """Some documents that are processed together. Not a dataclass: see `Workspace`."""

    def __init__(self, number: int, items: Sequence[WorkItem]) -> None:
        self.number = number
        self.items = items


class Prepared:
    """What preparing a window gave: documents to stage, rejections, parser results to keep."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.documents: list[StagedDocument] = []
        self.rejections: list[RejectionRow] = []
        self.parsed: list[ParsedRow] = []
        self.seconds = 0.0


def prepare_window(workspace: Workspace, window: Window) -> Prepared:
    """Everything of a window but the vectors; a bad document becomes a rejection."""
    prepared = Prepared(window.number)
    started_ns = workspace.clock_ns()
    jobs = _fetch_all(workspace, window.items, prepared)
    stored = stored_versions(
        workspace.db, workspace.require_target().source_id, [job.item.uri for job in jobs]
    )
    to_parse = []
    for job in jobs:
        job.stored = stored.get(job.item.uri, [])
        version = _same_version(workspace, job)
        if version is not None:
            prepared.documents.append(_staged(job, job.item.action, version_id=version.id))
        else:
            to_parse.append(job)
    prepared.parsed = read_jobs(workspace, to_parse)
    for job in to_parse:
        if isinstance(job.outcome, ParsedDocument):
            _finish(workspace, job, job.outcome, prepared)
        else:
            prepared.rejections.append(_reject(workspace, job, job.outcome))
    prepared.seconds = (workspace.clock_ns() - started_ns) / 1e9
    log.info(
        "window %d: %d documents, %d of them parsed, %d rejected, in %.1f s",
        window.number, len(window.items), len({row.content_sha256 for row in prepared.parsed}),
        len(prepared.rejections), prepared.seconds,
    )  # fmt: skip
    return prepared


def _fetch_all(workspace: Workspace, items: Sequence[WorkItem], prepared: Prepared) -> list[DocumentJob]:
    with ThreadPoolExecutor(FETCH_THREADS) as threads:
        outcomes = list(threads.map(lambda item: _fetch_one(workspace, item), items))
    workspace.blobs.sync()
    jobs = []
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, DocumentJob):
            jobs.append(outcome)
        else:
            fetched, error = outcome
            prepared.rejections.append(_rejection(workspace, item, error, fetched))
    return jobs


def _fetch_one(workspace: Workspace, item: WorkItem) -> DocumentJob | tuple[Fetched | None, DocumentError]:
    fetched = None
    try:
        fetched = fetch(workspace, item.uri, item.path)
        with fetched.path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        parser = choose_parser(head, item.uri)
        return DocumentJob(item, fetched, parser, parser)
    except DocumentError as exc:
        return fetched, exc


def _same_version(workspace: Workspace, job: DocumentJob) -> StoredVersion | None:
    """The stored version of these bytes under the current pipeline, if there is one."""
    names = (job.parser, by_ocr(job.parser)) if PARSERS[job.parser].reads_scans else (job.parser,)
    wanted = {(job.fetched.sha256, name, workspace.fingerprints[name]) for name in names}
    return next((v for v in job.stored if (v.content_sha256, v.parser, v.fingerprint) in wanted), None)


def _finish(workspace: Workspace, job: DocumentJob, parsed: ParsedDocument, prepared: Prepared) -> None:
    try:
        draft = _draft(workspace, job, parsed)
    except DocumentError as exc:
        error = exc
    except Exception as exc:  # a bug met by one document must not cost the night's run
        log.exception("document failed: %s", job.item.uri)
        error = ParseFailed(
            f"{job.item.uri} met a bug ({type(exc).__name__}: {exc}).", advice="Please report it."
        )
    else:
        prepared.documents.append(_unless_same(job, draft))
        return
    prepared.rejections.append(_reject(workspace, job, error))


def _reject(workspace: Workspace, job: DocumentJob, error: DocumentError | None) -> RejectionRow:
    assert error is not None
    return _rejection(workspace, job.item, error, job.fetched, parser=job.variant)


def _draft(workspace: Workspace, job: DocumentJob, parsed: ParsedDocument) -> VersionDraft:
    _check_length(job.item.uri, parsed, workspace.settings.limits.max_characters)
    document = mask_document(clean(parsed), workspace.collection.mask)
    chunks = chunk_document(document, workspace.policy, workspace.counter)
    if not chunks:
        raise EmptyDocument(f"{job.item.uri} holds no text.", advice="Exclude it, or give it text.")
    paths = workspace.collection.metadata.paths
    metadata = complete_metadata(parsed, document.text, job.item.uri, patterns=paths)
    text_sha256 = hashlib.sha256(document.text.encode()).digest()
    fingerprint = workspace.fingerprints[job.variant]
    meta_sha256 = metadata_sha256(metadata)
    return VersionDraft(
        content_sha256=job.fetched.sha256,
        parser=job.variant,
        fingerprint=fingerprint,
        text_sha256=text_sha256,
        metadata_sha256=meta_sha256,
        mime=parsed.mime,
        metadata=metadata,
        chunks=chunks,
        signature=text_signature(document.text),
        published=is_published(metadata),
        problems=parsed.problems,
        digest=version_digest(
            job.item.uri, text_sha256, meta_sha256, fingerprint, (chunk.hash for chunk in chunks)
        ),
    )


def _check_length(uri: str, parsed: ParsedDocument, most: int) -> None:
    """Cleaning and chunking hold a document in memory several times over."""
    length = sum(len(element.text) for element in parsed.elements)
    if length > most:
        raise TextTooLong(
            f"{uri} holds {length:,} characters of text, more than limits.max_characters = {most:,}.",
            advice="Split the document, or raise the limit in revector.toml: 100 bytes of memory each.",
        )


def _unless_same(job: DocumentJob, draft: VersionDraft) -> StagedDocument:
    """The change to stage: none but the stat where other bytes hold the same text and metadata."""
    new = (draft.fingerprint, draft.text_sha256, draft.metadata_sha256)
    for version in job.stored:
        old = (version.fingerprint, version.text_sha256, version.metadata_sha256)
        if version.id == job.item.base_version_id and old == new:
            return _staged(job, "restat", version_id=version.id)
    return _staged(job, job.item.action, draft=draft)


def _staged(
    job: DocumentJob, action: Action, *, version_id: int | None = None, draft: VersionDraft | None = None
) -> StagedDocument:
    if version_id is not None and version_id == job.item.base_version_id:
        action = "restat"
    return StagedDocument(
        uri=job.item.uri,
        action=action,
        stat=job.fetched.stat,
        content_sha256=job.fetched.sha256,
        base_version_id=job.item.base_version_id,
        version_id=version_id,
        draft=draft,
    )


def _rejection(
    workspace: Workspace, item: WorkItem, error: DocumentError, fetched: Fetched | None, *, parser: str = ""
) -> RejectionRow:
    if isinstance(error, TextTooLong):
        parser = under_limits(parser)
    log.warning("document rejected: %s (%s, %s)", item.uri, error.stage, type(error).__name__)
    return RejectionRow(
        Rejection(item.uri, error.stage, type(error).__name__, str(error), error.retryable),
        stat=fetched.stat if fetched else item.stat,
        content_sha256=fetched.sha256 if fetched else None,
        parser=parser,
        fingerprint=workspace.fingerprints[parser],
    )
