"""Rungs and pages that end as the uri says, for the tests of the ladder.

``rungs:fail,hang,ok`` says how each rung ends; ``pages:ok,empty,crash`` a document of scanned
pages, and how each page ends; ``mixed:...`` the same after a page of text.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from schemas.document import Element, ParsedDocument
from schemas.errors import EmptyDocument, EncryptedDocument, ParseFailed
from tasks.parsing.jobs import Job, OcrJob, ParseJob

NAMES = "zero one two three four five six".split()
"""Not digits: lines that differ in a number alone are page furniture."""


def answer(path: Path, uri: str, job: Job) -> ParsedDocument:
    """What the uri says of this job."""
    kind, _, ends = uri.partition(":")
    if isinstance(job, OcrJob):
        return _end(ends.split(",")[job.page - 1 - (kind == "mixed")], f"page {NAMES[job.page]}", job.page)
    assert isinstance(job, ParseJob)
    if kind == "rungs":
        return _end(ends.split(",")[job.rung], f"rung {job.rung}", None)
    text = (Element("the text of page 1", page=1),) if kind == "mixed" else ()
    pages = range(1 + len(text), 1 + len(text) + len(ends.split(",")))
    return ParsedDocument("pdf", "application/pdf", text, scans=tuple(pages))


def _end(how: str, text: str, page: int | None) -> ParsedDocument:
    if how == "fail":
        raise ParseFailed(f"{text} is damaged.", advice="Repair it.")
    if how == "locked":
        raise EncryptedDocument("It needs a password.", advice="Remove it.")
    if how == "nothing":
        raise EmptyDocument("It has no text.", advice="Exclude it.")
    if how == "hang":
        time.sleep(600)
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "empty":
        return ParsedDocument("pdf", "application/pdf", ())
    return ParsedDocument("pdf", "application/pdf", (Element(text, page=page),))
