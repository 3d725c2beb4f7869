"""Documents as items of a collection: parsed, then drafted here or in another process."""

from __future__ import annotations

from schemas.document import ParsedDocument
from tasks.drafting import DraftJob, do_draft
from tasks.items import DocumentJob, Drafting, ItemKind, drafted
from tasks.parsing.base import choose_parser
from tasks.parsing.formats import PARSERS
from tasks.parsing.worker import Request
from tasks.pipeline_fingerprint import by_ocr
from tasks.reading import read_jobs
from tasks.workspace import Workspace


def _variants(parser: str) -> tuple[str, ...]:
    return (parser, by_ocr(parser)) if PARSERS[parser].reads_scans else (parser,)


def _draft(workspace: Workspace, job: DocumentJob, *, many: bool) -> Drafting:
    parsed = job.outcome
    assert isinstance(parsed, ParsedDocument)
    fingerprint = workspace.fingerprints[job.variant]
    ask = DraftJob(workspace.recipe, parsed, job.fetched.sha256, job.variant, fingerprint)
    pool = workspace.draft_pool if many else None
    if pool is None:
        return drafted(do_draft(job.fetched.path, job.item.uri, ask))
    return pool.submit(Request(job.fetched.path, job.item.uri, ask))


KIND = ItemKind(choose=choose_parser, variants=_variants, read=read_jobs, draft=_draft)
