"""A parser that does the worst on request, for the tests of the parser pool's users."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from schemas.container import Unpacked
from schemas.document import Element, ParsedDocument
from tasks.parsing.jobs import Job, OcrJob, do_job


def hang_on_request(path: Path, uri: str, job: Job) -> ParsedDocument | Unpacked:
    """Hangs, crashes or eats memory where the text asks for it; parses otherwise."""
    text = path.read_bytes()
    if b"please hang" in text:
        time.sleep(600)
    if b"please crash" in text:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"please eat memory" in text:
        hoard = [bytearray(64 << 20) for _ in range(10_000)]
        raise AssertionError(f"{len(hoard)} blocks were allowed")
    return do_job(path, uri, job)


def read_any_scan(path: Path, uri: str, job: Job) -> ParsedDocument | Unpacked:
    """As the real ones, but OCR finds the same words on each page, without tesseract."""
    if isinstance(job, OcrJob):
        words = "Words of a scanned page: the lynx crossed the frozen river."
        return ParsedDocument(job.parser, "application/pdf", (Element(f"{words} {uri}", page=job.page),))
    return do_job(path, uri, job)
