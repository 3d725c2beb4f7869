"""The parser's result for each document of a window: kept by the registry, or made now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from registry.documents import find_parsed
from registry.staging import ParsedRow
from schemas.document import ParsedDocument
from tasks.items import DocumentJob, Key, ReadJob
from tasks.parsing.formats import PARSERS
from tasks.parsing.ladder import Reading, ReadRequest, read_documents
from tasks.parsing.stored import dump_parsed, load_parsed
from tasks.pipeline_fingerprint import by_ocr, under_limits
from tasks.workspace import Workspace


def read_jobs(workspace: Workspace, jobs: Sequence[DocumentJob]) -> Iterator[ReadJob]:
    """Give the jobs their outcome and variant, in order, while the next ones are read.

    Equal bytes are read once.
    """
    kept = _find_kept(workspace, jobs)
    asked: dict[Key, ReadRequest] = {}
    for job in jobs:
        parsed = kept.get(job.key)
        whole = kept.get((job.fetched.sha256, by_ocr(job.parser)))
        if parsed is not None and (whole or not parsed.scans):
            job.outcome = whole or parsed
            job.variant = by_ocr(job.parser) if parsed.scans else job.parser
        else:
            asked[job.key] = ReadRequest(job.fetched.path, job.item.uri, job.parser, parsed)
    coming, read = _read(workspace, asked), dict[Key, Reading]()
    for job in jobs:
        rows: list[ParsedRow] = []
        if job.outcome is None:
            if job.key not in read:  # the first of its bytes, as they were asked for
                read[job.key] = next(coming)
                rows = list(_rows(workspace, job.key, read[job.key]))
            reading = read[job.key]
            job.outcome = reading.outcome
            job.variant = by_ocr(job.parser) if reading.has_scans else job.parser
            job.variant = under_limits(job.variant) if reading.limited else job.variant
        yield ReadJob(job, rows, is_read=bool(rows))


def _find_kept(workspace: Workspace, jobs: Iterable[DocumentJob]) -> dict[Key, ParsedDocument]:
    """What the registry has: results before OCR, and with it."""
    versions = workspace.parser_versions
    keys = {(*job.key, versions[job.parser]) for job in jobs}
    keys |= {
        (job.fetched.sha256, by_ocr(job.parser), versions[by_ocr(job.parser)])
        for job in jobs
        if PARSERS[job.parser].reads_scans
    }
    found = find_parsed(workspace.db, workspace.require_target().collection_id, list(keys))
    return {key: load_parsed(data) for key, data in found.items()}


def _read(workspace: Workspace, asked: dict[Key, ReadRequest]) -> Iterator[Reading]:
    if not asked:
        return iter(())
    timeout_s = workspace.settings.limits.parse_timeout_s
    return read_documents(workspace.pool, list(asked.values()), timeout_s=timeout_s, ocr=workspace.ocr)


def _rows(workspace: Workspace, key: Key, reading: Reading) -> Iterator[ParsedRow]:
    """What spares a later run the work: results that no limit had a part in."""
    sha256, parser = key
    versions = workspace.parser_versions
    if reading.parsed is not None:
        yield ParsedRow(sha256, parser, versions[parser], dump_parsed(reading.parsed))
    if reading.has_scans and not reading.limited and isinstance(reading.outcome, ParsedDocument):
        name = by_ocr(parser)
        yield ParsedRow(sha256, name, versions[name], dump_parsed(reading.outcome))
