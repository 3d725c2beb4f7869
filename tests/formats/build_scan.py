"""Write the report as a scanner would: `python -m tests.formats.build_scan`.

Pages are rendered at 200 dpi in grey, turned by half a degree, and given the noise of a sensor,
always the same. Needs the Nanum fonts; tests need only the files.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pypdf
import pypdfium2
from PIL import Image, ImageOps
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak

from tests.formats.build_pdf import (
    FIXTURES,
    document,
    paragraph,
    register_fonts,
    report_pdf,
    section_story,
    written,
)
from tests.formats.source import REPORTS, Report

DPI = 200
_TILT = 0.5
_NOISE = 6.0


def scanned(data: bytes, page: int = 0, *, dpi: int = DPI) -> Image.Image:
    """The page as a grey image from a scanner."""
    with pypdfium2.PdfDocument(data) as opened:
        image = opened[page].render(scale=dpi / 72, grayscale=True).to_pil()
    image = image.rotate(_TILT, resample=Image.Resampling.BICUBIC, fillcolor=255)
    noise = np.random.default_rng(7).normal(0, _NOISE, (image.height, image.width))
    grey = np.asarray(image, dtype=float) * 0.86 + 24 + noise  # paper is not white, ink not black
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


def black_and_white(image: Image.Image) -> Image.Image:
    """One bit a pixel, as office scanners save pages."""
    return image.point([0] * 140 + [255] * 116).convert("1")


def image_pdf(pages: list[Image.Image]) -> bytes:
    """A PDF of scanned pages, each one image."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    for page in pages:
        packed = io.BytesIO()
        page.save(packed, "JPEG", quality=12) if page.mode == "L" else page.save(packed, "PNG")
        canvas.drawImage(ImageReader(packed), 0, 0, *A4)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def two_pages(report: Report) -> bytes:
    """The report with a page break before its table."""
    first = [f for section in report.sections[:2] for f in section_story(section)]
    last = [f for section in report.sections[2:] for f in section_story(section)]
    return document(report, [paragraph(report.title, 1), *first, PageBreak(), *last])


def mixed_pdf(report: Report) -> bytes:
    """Three pages, one section each; the second one is scanned."""
    sections = report.sections[:3]
    text = document(report, [f for s in sections for f in (*section_story(s), PageBreak())])
    scan = image_pdf([black_and_white(scanned(text, 1))])
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(text))
    writer.remove_page(1)
    writer.insert_page(pypdf.PdfReader(io.BytesIO(scan)).pages[0], 1)
    writer.compress_identical_objects(remove_unreferenced=True)
    return written(writer)


def stamped_pdf(report: Report) -> bytes:
    """A scanned page with a page number set over it as text: still a scan."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    packed = io.BytesIO()
    black_and_white(scanned(two_pages(report), dpi=100)).save(packed, "PNG")
    canvas.drawImage(ImageReader(packed), 0, 0, *A4)
    canvas.setFont("Helvetica", 8)
    canvas.drawString(72, 20, "Received 2026-04-20, harbour registry")
    canvas.drawString(500, 20, "Page 1 of 1")
    canvas.save()
    return buffer.getvalue()


def main() -> None:
    register_fonts()
    for language, report in REPORTS.items():
        grey = scanned(report_pdf(report))
        pages = [scanned(two_pages(report), number) for number in range(2)]
        stem = FIXTURES / f"scan.{language}"
        write = stem.with_name
        write(f"{stem.name}.pdf").write_bytes(image_pdf([black_and_white(page) for page in pages]))
        write(f"mixed.{language}.pdf").write_bytes(mixed_pdf(report))
        crop = _written_part(grey)
        ImageOps.posterize(crop, 3).quantize(8).save(write(f"{stem.name}.png"), optimize=True, dpi=(DPI, DPI))
        _save_jpeg(crop, write(f"{stem.name}.jpg"), report)
        first, *rest = (black_and_white(page) for page in pages)
        first.save(
            write(f"{stem.name}.tiff"), save_all=True, append_images=rest, compression="group4",
            dpi=(DPI, DPI),
        )  # fmt: skip
    (FIXTURES / "stamped-scan.en.pdf").write_bytes(stamped_pdf(REPORTS["en"]))


def _written_part(page: Image.Image) -> Image.Image:
    """Without the empty lower part of the page: it is noise, which does not compress."""
    rows = np.flatnonzero((np.asarray(page) < 110).any(axis=1))
    return page.crop((0, 0, page.width, min(int(rows[-1]) + 80, page.height)))


def _save_jpeg(image: Image.Image, path: Path, report: Report) -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = report.title.encode(), report.author.encode()
    exif[0x0132] = f"{report.authored_at:%Y:%m:%d %H:%M:%S}"
    image.save(path, quality=18, dpi=(DPI, DPI), exif=exif)


if __name__ == "__main__":
    main()
