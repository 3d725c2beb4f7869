"""A window of documents, from bytes to versions: fetch, blob, read, draft."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from registry.documents import stored_versions
from registry.runs import RejectionRow
from registry.staging import ParsedRow
from schemas.errors import DocumentError, ParseCrashed, ParseTimeout, RevectorError, TextTooLong
from schemas.release import Kind, Rejection
from schemas.version import Action, StagedDocument, StoredVersion, VersionDraft
from tasks import documents
from tasks.drafting import met_a_bug
from tasks.fetching import Fetched, fetch
from tasks.images import drafting as images
from tasks.items import DocumentJob, Drafting, ItemKind, WorkItem, drafted
from tasks.parsing.sniff import HEAD_BYTES
from tasks.parsing.worker import PoolClosed
from tasks.pipeline_fingerprint import under_limits
from tasks.windows import Window
from tasks.workspace import Workspace

KINDS: dict[Kind, ItemKind] = {"documents": documents.KIND, "images": images.KIND}
FETCH_THREADS = 4
MANY = 64
"""From so many documents in a window on, processes that draft are worth their start (2 s of CPU)."""

log = logging.getLogger(__name__)


class Prepared:
    """What preparing a window gave: documents to stage, rejections, results to keep; how many were read."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.documents: list[StagedDocument] = []
        self.rejections: list[RejectionRow] = []
        self.parsed: list[ParsedRow] = []
        self.read = 0
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
    contents: set[bytes] = set()
    drafting: deque[tuple[DocumentJob, Drafting]] = deque()
    for job, rows, is_read in KINDS[workspace.kind].read(workspace, to_parse):
        prepared.parsed += rows
        if is_read:
            contents.add(job.fetched.sha256)
        if isinstance(job.outcome, DocumentError):
            prepared.rejections.append(_reject(workspace, job, job.outcome))
        else:
            drafting.append((job, _begin(workspace, job, many=len(to_parse) >= MANY)))
        while drafting and drafting[0][1].done():
            _finish(workspace, *drafting.popleft(), prepared)
    for job, draft in drafting:
        _finish(workspace, job, draft, prepared)
    prepared.read = len(contents)
    prepared.seconds = (workspace.clock_ns() - started_ns) / 1e9
    log.info(
        "window %d: %d documents, %d of them read, %d rejected, in %.1f s",
        window.number, len(window.items), prepared.read, len(prepared.rejections), prepared.seconds,
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
        parser = KINDS[workspace.kind].choose(head, item.uri)
        return DocumentJob(item, fetched, parser, parser)
    except DocumentError as exc:
        return fetched, exc


def _same_version(workspace: Workspace, job: DocumentJob) -> StoredVersion | None:
    """The stored version of these bytes under the current pipeline, if there is one."""
    names = KINDS[workspace.kind].variants(job.parser)
    wanted = {(job.fetched.sha256, name, workspace.fingerprints[name]) for name in names}
    return next((v for v in job.stored if (v.content_sha256, v.parser, v.fingerprint) in wanted), None)


def _begin(workspace: Workspace, job: DocumentJob, *, many: bool) -> Drafting:
    try:
        return KINDS[workspace.kind].draft(workspace, job, many=many)
    except (RevectorError, PoolClosed):  # not of the document
        raise
    except Exception as exc:  # a bug met by one document must not cost the night's run
        log.exception("document failed: %s", job.item.uri)
        return drafted(met_a_bug(job.item.uri, exc))


def _finish(workspace: Workspace, job: DocumentJob, drafting: Drafting, prepared: Prepared) -> None:
    draft = drafting.result()
    if isinstance(draft, VersionDraft):
        prepared.documents.append(_unless_same(job, draft))
    else:
        assert isinstance(draft, DocumentError), draft
        if isinstance(draft, ParseTimeout | ParseCrashed):
            job.variant = under_limits(job.variant)
        prepared.rejections.append(_reject(workspace, job, draft))


def _reject(workspace: Workspace, job: DocumentJob, error: DocumentError) -> RejectionRow:
    return _rejection(workspace, job.item, error, job.fetched, parser=job.variant)


def _unless_same(job: DocumentJob, draft: VersionDraft) -> StagedDocument:
    """The change to stage: none but the stat where other bytes hold the same text and metadata."""
    for version in job.stored:
        if version.id == job.item.base_version_id and version.digest == draft.digest:
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
