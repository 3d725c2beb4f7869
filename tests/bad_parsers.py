"""A parser that does the worst on request, for the tests of the parser pool's users."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path

import tasks.drafting
from schemas.container import Unpacked
from schemas.document import Element, ParsedDocument
from schemas.errors import ConfigurationError, DocumentError
from schemas.version import VersionDraft
from tasks.cleaning import clean
from tasks.drafting import DraftJob, do_draft
from tasks.parsing.jobs import Job, OcrJob, ParseJob, UnpackJob, do_job


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


def draft_badly(path: Path, uri: str, job: DraftJob) -> VersionDraft | DocumentError:
    """Crashes, lacks a library or meets a bug where the text asks for it; drafts otherwise."""
    text = " ".join(element.text for element in job.parsed.elements)
    if "please crash" in text:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "please fail" in text:
        raise ConfigurationError("A library is missing.", advice="Install it.")
    tasks.drafting.clean = clean_badly
    return do_draft(path, uri, job)


def clean_badly(document: ParsedDocument) -> ParsedDocument:
    """Divides by zero where the text asks for it."""
    if any("please meet a bug" in element.text for element in document.elements):
        return document.elements[1 // 0]  # type: ignore[return-value]
    return clean(document)


def read_any_scan(path: Path, uri: str, job: Job) -> ParsedDocument | Unpacked:
    """As the real ones, but OCR finds the same words on each page, without tesseract."""
    if isinstance(job, OcrJob):
        words = "Words of a scanned page: the lynx crossed the frozen river."
        return ParsedDocument(job.parser, "application/pdf", (Element(f"{words} {uri}", page=job.page),))
    return do_job(path, uri, job)


def disk_is_full(path: Path, uri: str, job: Job) -> ParsedDocument | Unpacked:
    """As the real ones, but files cannot be written to the folder that is unpacked to."""
    if isinstance(job, UnpackJob):
        plain_open = Path.open

        def refuse(self: Path, mode: str = "r", *arguments: object) -> object:
            if "w" in mode:
                raise OSError(errno.ENOSPC, "No space left on device")
            return plain_open(self, mode, *arguments)  # type: ignore[arg-type,call-overload]

        Path.open = refuse  # type: ignore[method-assign,assignment]
    return do_job(path, uri, job)


def read_as_told(path: Path, uri: str, job: Job) -> ParsedDocument | Unpacked:
    """The first rung crashes where a file `crash` stands beside the source; the next finds what it says."""
    orders = path.parents[3] / "orders"
    if isinstance(job, ParseJob) and uri.endswith(".md") and orders.exists():
        if job.rung == 0:
            os.kill(os.getpid(), signal.SIGSEGV)
        elements = tuple(Element(text) for text in orders.read_text().split("\n"))
        return ParsedDocument("markdown", "text/markdown", elements)
    return do_job(path, uri, job)


def hang_in_ocr(path: Path, uri: str, job: Job) -> ParsedDocument | Unpacked:
    """As the real ones, but OCR never ends."""
    if isinstance(job, OcrJob):
        time.sleep(600)
    return do_job(path, uri, job)
