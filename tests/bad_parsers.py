"""A parser that does the worst on request, for the tests of the parser pool's users."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from schemas.container import Unpacked
from schemas.document import ParsedDocument
from tasks.parsing.jobs import Job, do_job


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
