"""Read documents through the parser pool: rung by rung, then page by page where OCR is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock

from schemas.document import ParsedDocument, PartProblem
from schemas.errors import (
    DocumentError,
    EmptyDocument,
    OcrUnavailable,
    ParseCrashed,
    ParseFailed,
    ParseTimeout,
)
from tasks.parsing.formats import PARSERS
from tasks.parsing.jobs import OcrJob, ParseJob
from tasks.parsing.process import Outcome
from tasks.parsing.worker import ParserPool, Request

TIME_SHARES = {1: (1.0,), 2: (0.8, 0.2), 3: (0.75, 0.2, 0.05)}
"""Shares of a document's time limit by number of rungs: all together never take longer than that."""

_NEXT_RUNG = (ParseFailed, ParseTimeout, ParseCrashed, EmptyDocument)


@dataclass(frozen=True, slots=True)
class OcrPlan:
    """How pages without text are read.

    Attributes:
        languages: as tesseract names them (``kor+eng``).
        page_mode: tesseract's page segmentation mode.
        dpi: at which pages are rendered.
        timeout_s: for one page.
        max_pages: of one document; further ones are not read.
        unavailable: why no page can be read, "" where they can.
    """

    languages: str
    page_mode: int
    dpi: int
    timeout_s: float
    max_pages: int
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A local file, the uri it stands for, its parser; `parsed` is what was stored of it before OCR."""

    path: Path
    uri: str
    parser: str
    parsed: ParsedDocument | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a document.

    Attributes:
        outcome: the document, or the error that rejects it.
        parsed: what the first rung gave now, before any OCR; None where it failed, or was known.
        has_scans: whether there are pages that only OCR can read.
        limited: whether a limit on time or memory had a part in the outcome.
    """

    outcome: ParsedDocument | DocumentError
    parsed: ParsedDocument | None = None
    has_scans: bool = False
    limited: bool = False


def read_documents(
    pool: ParserPool, requests: Sequence[ReadRequest], *, timeout_s: float, ocr: OcrPlan
) -> Iterator[Reading]:
    """Have documents read: for each request, in order, what became of it, once it is known.

    Args:
        pool: the parser processes.
        requests: the documents.
        timeout_s: for all rungs of one document together; each page of OCR has its own time.
        ocr: how pages without text are read.

    Raises:
        RevectorError: a parser process cannot be started on this machine.
        RuntimeError: the pool was closed meanwhile.
    """
    readers = [_Reader(pool, request, timeout_s, ocr) for request in requests]
    for reader in readers:
        reader.start()
    return (reader.result.result() for reader in readers)


@dataclass(slots=True)
class _Reader:
    """One document on its way. Its steps run in the pool's threads, one after the other."""

    pool: ParserPool
    request: ReadRequest
    timeout_s: float
    ocr: OcrPlan
    result: Future[Reading] = field(default_factory=Future)
    failed: list[tuple[str, DocumentError]] = field(default_factory=list)
    parsed: ParsedDocument | None = None
    pages: dict[int, ParsedDocument | DocumentError] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def start(self) -> None:
        if self.request.parsed is not None:
            self._read_scans(self.request.parsed)
        else:
            self._try_rung(0)

    def _try_rung(self, rung: int) -> None:
        rungs = len(PARSERS[self.request.parser].rungs)
        share = self.timeout_s * TIME_SHARES[rungs][rung]
        asked = self.pool.submit(Request(self.request.path, self.request.uri, ParseJob(rung), share))
        asked.add_done_callback(partial(self._guard, self._take_rung, rung))

    def _take_rung(self, future: Future[Outcome], rung: int) -> None:
        outcome = future.result()
        rungs = PARSERS[self.request.parser].rungs
        if isinstance(outcome, DocumentError):
            self.failed.append((rungs[rung][0], outcome))
            if isinstance(outcome, _NEXT_RUNG) and rung + 1 < len(rungs):
                self._try_rung(rung + 1)
            else:
                self._end(explain(self.failed))
            return
        assert isinstance(outcome, ParsedDocument)
        self._read_scans(_mark_rung(outcome, self.failed, rungs[rung][0]))

    def _read_scans(self, parsed: ParsedDocument) -> None:
        self.parsed = parsed
        pages = parsed.scans[: self.ocr.max_pages]
        if not pages:
            self._end(parsed)
            return
        if self.ocr.unavailable:
            self._end(_finish_scans(parsed, {}, self.ocr))
            return
        for page in pages:
            job = OcrJob(self.request.parser, page, self.ocr.languages, self.ocr.page_mode, self.ocr.dpi)
            asked = self.pool.submit(Request(self.request.path, self.request.uri, job, self.ocr.timeout_s))
            asked.add_done_callback(partial(self._guard, self._take_page, page))

    def _take_page(self, future: Future[Outcome], page: int) -> None:
        outcome = future.result()
        assert isinstance(outcome, ParsedDocument | DocumentError)
        assert self.parsed is not None
        with self.lock:
            self.pages[page] = outcome
            is_last = len(self.pages) == min(len(self.parsed.scans), self.ocr.max_pages)
        if is_last:
            self._end(_finish_scans(self.parsed, self.pages, self.ocr))

    def _guard(
        self, step: Callable[[Future[Outcome], int], None], number: int, future: Future[Outcome]
    ) -> None:
        """A future swallows what its callback raises; here the waiting thread is told."""
        try:
            step(future, number)
        except BaseException as error:
            if not self.result.done():
                self.result.set_exception(error)

    def _end(self, outcome: ParsedDocument | DocumentError) -> None:
        errors = [error for _, error in self.failed]
        errors += [page for page in self.pages.values() if isinstance(page, DocumentError)]
        limited = any(isinstance(error, ParseTimeout | ParseCrashed) for error in errors)
        stored = self.parsed if self.request.parsed is None and not self.failed else None
        has_scans = self.parsed is not None and bool(self.parsed.scans)
        self.result.set_result(Reading(outcome, stored, has_scans, limited))


def explain(failed: Sequence[tuple[str, DocumentError]]) -> DocumentError:
    """The error of the whole ladder: the first, or the first of a limit, and which rungs failed."""
    limits = (error for _, error in failed if isinstance(error, ParseTimeout | ParseCrashed))
    main = next(limits, failed[0][1])
    if len(failed) == 1:
        return main
    rungs = "; ".join(f"{rung}: {error.message}" for rung, error in failed)
    return type(main)(
        f"No rung of the parser could read it ({rungs})",
        advice=main.advice,
        **main.facts,
        rungs=[rung for rung, _ in failed],
    )


def _mark_rung(
    parsed: ParsedDocument, failed: Sequence[tuple[str, DocumentError]], rung: str
) -> ParsedDocument:
    """The document with a note where the fast rung failed; with a problem where structure was lost."""
    if not failed:
        return parsed
    extra = {**parsed.metadata.extra, "read by": rung}
    problems = parsed.problems
    if rung == "plain text" and not problems:
        why = "; ".join(f"{name}: {error.message}" for name, error in failed)
        message = f"Only plain text could be read ({why}). {failed[0][1].advice}".rstrip()
        problems = (PartProblem("structure", type(failed[0][1]).__name__, message),)
    return replace(parsed, metadata=replace(parsed.metadata, extra=extra), problems=problems)


def _finish_scans(
    parsed: ParsedDocument, pages: Mapping[int, ParsedDocument | DocumentError], ocr: OcrPlan
) -> ParsedDocument | DocumentError:
    """The document with what OCR read; pages it could not read are problems."""
    from tasks.parsing.ocr import merge_pages

    read = {page: found for page, found in pages.items() if isinstance(found, ParsedDocument)}
    reasons: dict[tuple[str, str], list[int]] = {}
    for page in parsed.scans:
        found = pages.get(page)
        if isinstance(found, DocumentError):
            reasons.setdefault((type(found).__name__, str(found)), []).append(page)
        elif found is None:
            reasons.setdefault(_not_read(ocr), []).append(page)
    problems = [PartProblem(page_names(at), error, text) for (error, text), at in reasons.items()]
    merged = merge_pages(parsed, read)
    merged = replace(merged, scans=(), problems=(*merged.problems, *problems))
    if any(element.text.strip() for element in merged.elements):
        return merged
    if problems:
        first = min(problems, key=lambda problem: problem.error != "OcrUnavailable")
        kinds: dict[str, type[DocumentError]] = {
            kind.__name__: kind for kind in (OcrUnavailable, ParseTimeout, ParseCrashed)
        }
        error = kinds.get(first.error, ParseFailed)
        return error(f"It has no text layer, and {first.part} could not be read: {first.message}")
    return EmptyDocument(
        f"It has no text layer, and OCR found no text on {page_names(parsed.scans)}.",
        advice="Exclude it if that is as intended; an image without text is no document.",
    )


def _not_read(ocr: OcrPlan) -> tuple[str, str]:
    if ocr.unavailable:
        return OcrUnavailable.__name__, ocr.unavailable
    return (
        OcrUnavailable.__name__,
        f"Not read: ocr.max_pages = {ocr.max_pages}. Raise it in revector.toml, or split the document.",
    )


def page_names(pages: Iterable[int]) -> str:
    """Pages as people write them.

    >>> page_names([3, 5, 6, 7])
    'pages 3, 5-7'
    >>> page_names([2])
    'page 2'
    """
    runs: list[list[int]] = []
    for page in sorted(pages):
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    names = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"page {names}" if len(runs) == 1 and runs[0][0] == runs[0][1] else f"pages {names}"
