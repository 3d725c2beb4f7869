"""What a parser process can be asked for, and the function that does it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas.container import Unpacked
from schemas.document import ParsedDocument
from schemas.image import ImageFacts
from tasks.parsing.limits import UnpackLimits


@dataclass(frozen=True, slots=True)
class ParseJob:
    """Read a document by one rung of its parser's ladder."""

    rung: int = 0


@dataclass(frozen=True, slots=True)
class OcrJob:
    """Read one page (1-based) of a document by OCR."""

    parser: str
    page: int
    languages: str
    page_mode: int
    dpi: int


@dataclass(frozen=True, slots=True)
class UnpackJob:
    """Write the files inside a container to a folder."""

    folder: Path
    limits: UnpackLimits


@dataclass(frozen=True, slots=True)
class ImageJob:
    """Read an image, with its sidecar where it comes with one."""


Job = ParseJob | OcrJob | UnpackJob | ImageJob


def do_job(path: Path, uri: str, job: Job) -> ParsedDocument | Unpacked | ImageFacts:
    """What a parser process answers; the uri only helps to tell the kind of the file.

    Raises:
        DocumentError: a subclass that says why there is no answer.
        ConfigurationError: a library is not installed.
        MemoryError: for the caller, which knows the limit.
    """
    if isinstance(job, ParseJob):
        from tasks.parsing.base import parse_file

        return parse_file(path, uri, job.rung)
    if isinstance(job, OcrJob):
        from tasks.parsing.ocr import OcrOptions, read_page

        options = OcrOptions(job.languages, job.page_mode, job.dpi)
        return read_page(path, job.parser, job.page, options)
    if isinstance(job, ImageJob):
        from tasks.images.reading import read_image

        return read_image(path)
    from tasks.parsing.unpack import unpack

    return unpack(path, uri, job.folder, job.limits)
