"""Images of every format and oddity, made the same each time.

All show four quarters, red and green above blue and yellow, so that a turned, mirrored, inverted or
clipped one is told by its colours. Nothing installed here writes HEIC: the files in `fixtures` were made
by `build_heic.py` and are committed.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

FIXTURES = Path(__file__).parent / "fixtures"
SIZE = (64, 48)
RED, GREEN, BLUE, YELLOW = (200, 20, 20), (20, 160, 20), (20, 20, 200), (220, 220, 30)
WHITE = (255, 255, 255)
QUARTERS = (RED, GREEN, BLUE, YELLOW)
GREYS = (20, 90, 160, 240)
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What undoes an orientation."""


def quarters(colours: tuple = QUARTERS, size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    """The picture."""
    width, height = size
    image = Image.new(mode, size)
    for number, colour in enumerate(colours):
        x, y = number % 2 * (width // 2), number // 2 * (height // 2)
        image.paste(colour, (x, y, x + width // 2, y + height // 2))
    return image


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def frames(form: str, **options: object) -> bytes:
    """Three frames, the first one the picture."""
    others = [Image.new("RGB", SIZE, colour) for colour in ("black", "white")]
    return encode(quarters(), form, save_all=True, append_images=others, **options)


def oriented(orientation: int, form: str = "JPEG") -> bytes:
    """Stored turned, with the EXIF tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = quarters()
    if orientation in TURNS:
        stored = stored.transpose(TURNS[orientation])
    options = {"quality": 95} if form == "JPEG" else {}
    return encode(stored, form, exif=exif, **options)


def deep_greys(kind: type = np.uint16, factor: float = 257) -> np.ndarray:
    return (np.asarray(quarters(GREYS, mode="L"), np.float64) * factor).astype(kind)


def cmyk() -> Image.Image:
    """The picture as ink, some of it black: the paper shows (255 - ink) * (255 - black) / 255."""
    rgb, black = np.asarray(quarters()), 20
    ink = np.round(255 - rgb.astype(float) * 255 / (255 - black)).astype(np.uint8)
    return Image.fromarray(
        np.concatenate([ink, np.full((*ink.shape[:2], 1), black, np.uint8)], axis=2), "CMYK"
    )


def ycck() -> bytes:
    """Adobe's other CMYK: ink as luminance and two differences. Pillow writes CMYK: its mark is changed."""
    ink = np.asarray(cmyk())
    colours = Image.fromarray(np.ascontiguousarray(ink[..., :3])).convert("YCbCr")
    # Pillow stores ink inverted, as Adobe does; of the differences that is once too often
    bands = [*(255 - np.asarray(band) for band in colours.split()), ink[..., 3]]
    data = bytearray(
        encode(Image.merge("CMYK", [Image.fromarray(band) for band in bands]), "JPEG", quality=95)
    )
    marker = data.index(b"Adobe")
    assert data[marker + 11] == 0
    data[marker + 11] = 2
    return bytes(data)


def transparent(mode: str) -> Image.Image:
    """The picture, of which the last quarter is clear; its hidden colour is black."""
    width, height = SIZE
    image = quarters().convert("RGBA")
    image.paste((0, 0, 0, 0), (width // 2, height // 2, width, height))
    return image.convert(mode)


def clear_palette() -> bytes:
    image = quarters((0, 1, 2, 3), mode="P")
    image.putpalette([part for colour in QUARTERS for part in colour])
    return encode(image, "PNG", transparency=bytes([255, 255, 255, 0]))


def with_metadata() -> bytes:
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "냉동 창고".encode(), "한서윤".encode()
    exif.get_ifd(0x8769)[0x9003] = "2026:04:17 10:30:00"
    exif[0x9C9E] = "냉동; 점검\0".encode("utf-16-le")
    return encode(quarters(), "JPEG", exif=exif, quality=95)


def damaged_exif() -> bytes:
    """EXIF whose directory points out of it, and whose count of tags is absurd."""
    tags = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + struct.pack(">HHII", 0x0112, 3, 0xFFFFFFFF, 0xFFFFFFF0) * 3
    return encode(quarters(), "JPEG", exif=tags, quality=95)


def photo_jpeg(size: tuple[int, int] = (1600, 1200)) -> bytes:
    return encode(quarters(size=size), "JPEG", quality=90)


def png_of_size(width: int, height: int) -> bytes:
    """A small PNG that says it is large."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def heic_of_size(width: int, height: int) -> bytes:
    """A HEIC whose header says it is large."""
    data = bytearray(heic("plain"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    cut = data.index(b"clap") + 4  # what of it is shown: all
    data[cut : cut + 32] = struct.pack(">8I", width, 1, height, 1, 0, 1, 0, 1)
    return bytes(data)


def heic(name: str) -> bytes:
    return (FIXTURES / f"{name}.heic").read_bytes()


GOOD: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encode(quarters(), "JPEG", quality=95),
    "jpeg progressive": lambda: encode(quarters(), "JPEG", quality=95, progressive=True),
    "mpo": lambda: frames("MPO", quality=95),
    "png": lambda: encode(quarters(), "PNG"),
    "png interlaced palette": lambda: encode(quarters().quantize(4), "PNG"),
    "apng": lambda: frames("PNG"),
    "webp": lambda: encode(quarters(), "WEBP", lossless=True),
    "webp lossy": lambda: encode(quarters(), "WEBP", quality=90),
    "webp animated": lambda: frames("WEBP", lossless=True),
    "gif": lambda: encode(quarters(), "GIF"),
    "gif animated": lambda: frames("GIF"),
    "bmp": lambda: encode(quarters(), "BMP"),
    "tiff": lambda: encode(quarters(), "TIFF"),
    "tiff deflate": lambda: encode(quarters(), "TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": lambda: encode(quarters(), "TIFF", compression="jpeg", quality=95),
    "tiff pages": lambda: frames("TIFF"),
    "tiff cmyk": lambda: encode(cmyk(), "TIFF"),
    "tiff lab": lambda: encode(_lab(), "TIFF"),
    "avif": lambda: encode(quarters(), "AVIF", quality=95),
    "heic": lambda: heic("plain"),
    "heic turned": lambda: heic("turned"),
    "heic second": lambda: heic("second"),
    "jpeg cmyk": lambda: encode(cmyk(), "JPEG", quality=95),
    "jpeg ycck": ycck,
    "jpeg damaged exif": damaged_exif,
    "jpeg metadata": with_metadata,
    "rgba opaque": lambda: encode(quarters().convert("RGBA"), "PNG"),
}
"""All show the picture."""

GREY: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: encode(quarters(GREYS, mode="L"), "JPEG", quality=95),
    "png": lambda: encode(quarters(GREYS, mode="L"), "PNG"),
    "png 16": lambda: encode(Image.fromarray(deep_greys()), "PNG"),
    "png LA": lambda: encode(quarters(GREYS, mode="L").convert("LA"), "PNG"),
}
"""All show the quarters in `GREYS`."""

STRETCHED: dict[str, Callable[[], bytes]] = {
    "tiff 16": lambda: encode(Image.fromarray(deep_greys(factor=16)), "TIFF"),
    "tiff float": lambda: encode(Image.fromarray(deep_greys(np.float32, 1 / 255)), "TIFF"),
    "tiff int": lambda: encode(Image.fromarray(deep_greys(np.int32, 1000)), "TIFF"),
    "tiff float holes": lambda: encode(Image.fromarray(_with_holes()), "TIFF"),
}
"""All show the quarters in `GREYS`, stretched from black to white."""

CLEAR: dict[str, Callable[[], bytes]] = {
    "png": lambda: encode(transparent("RGBA"), "PNG"),
    "webp": lambda: encode(transparent("RGBA"), "WEBP", lossless=True, exact=True),
    "tiff": lambda: encode(transparent("RGBA"), "TIFF"),
    "tiff premultiplied": lambda: encode(transparent("RGBA").convert("RGBa").convert("RGBA"), "TIFF"),
    "palette": clear_palette,
    "rgb with a clear colour": lambda: encode(quarters(), "PNG", transparency=YELLOW),
    "gif": lambda: encode(transparent("RGBA"), "GIF"),
    "heic": lambda: heic("clear"),
    "avif": lambda: encode(transparent("RGBA"), "AVIF", quality=95),
}
"""All show the picture with the last quarter clear."""


def _lab() -> Image.Image:
    from PIL import ImageCms

    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.applyTransform(quarters(), ImageCms.buildTransform(*profiles, "RGB", "LAB"))


def _with_holes() -> np.ndarray:
    values = deep_greys(np.float32, 1)
    values[0, :3] = np.nan, np.inf, -np.inf
    return values


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


@cache
def large_picture() -> Image.Image:
    """Of noise, so that half of its file is half of its pixels."""
    noise = np.random.default_rng(7).integers(0, 256, (120, 160, 3), np.uint8)
    return Image.fromarray(noise)


DAMAGED: dict[str, Callable[[], bytes]] = {
    "jpeg cut off": lambda: half(encode(large_picture(), "JPEG")),
    "png cut off": lambda: half(encode(large_picture(), "PNG")),
    "webp cut off": lambda: half(encode(large_picture(), "WEBP")),
    "gif cut off": lambda: half(encode(large_picture(), "GIF")),
    "tiff cut off": lambda: half(encode(large_picture(), "TIFF")),
    "bmp cut off": lambda: half(encode(large_picture(), "BMP")),
    "avif cut off": lambda: half(encode(large_picture(), "AVIF")),
    "heic cut off": lambda: half(heic("plain")),
    "heic without its end": lambda: heic("plain")[:-20],
    "png changed": lambda: _flip(encode(large_picture(), "PNG")),
    "png of a head alone": lambda: encode(quarters(), "PNG")[:33],
    "jpeg of two bytes and zeros": lambda: b"\xff\xd8\xff" + bytes(500),
}

TOO_LARGE: dict[str, Callable[[], bytes]] = {
    "png 50,000 x 50,000": lambda: png_of_size(50_000, 50_000),
    "png 11,000 x 11,000": lambda: png_of_size(11_000, 11_000),
    "heic 12,000 x 12,000": lambda: heic_of_size(12_000, 12_000),
    "gif 65,535 x 65,535": lambda: (
        b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + encode(quarters(), "GIF")[13:]
    ),
}

TOO_SMALL: dict[str, Callable[[], bytes]] = {
    "1 x 1": lambda: encode(Image.new("RGB", (1, 1)), "PNG"),
    "1 x 10000": lambda: encode(Image.new("RGB", (1, 10_000)), "PNG"),
    "1 x 1 gif": lambda: encode(Image.new("L", (1, 1)), "GIF"),
}

NO_IMAGE: dict[str, Callable[[], bytes]] = {
    "text": lambda: b"This is a text, whatever its name says.\n" * 5,
    "html": lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "psd": lambda: b"8BPS\0\x01" + bytes(100),
    "icon": lambda: encode(quarters(), "ICO"),
    "pdf": lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "zip": lambda: b"PK\x03\x04" + bytes(100),
    "jpeg xl": lambda: b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40),
    "jpeg 2000": lambda: encode(quarters(), "JPEG2000"),
    "noise": lambda: bytes(range(256)) * 4,
    "mp4": lambda: b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(50),
}


def _flip(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0xFF]) + data[len(data) // 2 + 1 :]


def with_text_fields() -> bytes:
    fields = PngImagePlugin.PngInfo()
    fields.add_text("Title", "Floor plan")
    return encode(quarters(), "PNG", pnginfo=fields)
