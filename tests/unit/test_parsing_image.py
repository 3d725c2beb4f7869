"""Images: what is checked before OCR, and what they say of themselves."""

import io
import struct
import zlib
from datetime import UTC, datetime

import pytest
from PIL import Image, PngImagePlugin

from schemas.errors import DocumentError, EmptyDocument, ParseFailed
from tasks.images.opening import MAX_FRAMES
from tasks.parsing.image import parse, read_frame
from tests.images.source import SIZE, damaged_exif, heic


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture(width: int = 64, height: int = 48) -> Image.Image:
    image = Image.linear_gradient("L").resize((width, height))
    return image.convert("RGB")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_an_image_is_one_page_to_be_read(form: str) -> None:
    parsed = parse(encoded(picture(), form))
    assert (parsed.scans, parsed.elements) == ((1,), ())
    assert parsed.mime.startswith("image/")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF"])
def test_an_image_that_is_cut_off_is_refused(form: str) -> None:
    data = encoded(picture(640, 480), form)
    with pytest.raises(ParseFailed, match="damaged or cut off"):
        parse(data[: len(data) // 2])


def test_each_page_of_a_tiff_is_to_be_read() -> None:
    data = encoded(picture(), "TIFF", save_all=True, append_images=[picture(), picture(32, 100)])
    assert parse(data).scans == (1, 2, 3)
    assert read_frame(data, 3)[0].size == (32, 100)


def test_a_moving_picture_is_its_first_frame() -> None:
    data = encoded(picture(), "GIF", save_all=True, append_images=[picture(), Image.new("RGB", (64, 48))])
    assert parse(data).scans == (1,)


def test_a_tiff_whose_directories_form_a_loop_ends() -> None:
    data = bytearray(encoded(picture(), "TIFF"))
    first = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    assert 1 <= len(parse(bytes(data)).scans) <= MAX_FRAMES


def png_bomb(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_refused_by_its_size() -> None:
    for side in (11_000, 60_000):
        with pytest.raises(ParseFailed, match="the limit is 100 million"):
            parse(png_bomb(side, side))


def test_an_icon_has_no_text() -> None:
    with pytest.raises(EmptyDocument, match="1 x 1"):
        parse(encoded(Image.new("L", (1, 1)), "PNG"))


def test_exif_is_metadata_in_whatever_encoding() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "점검 보고서".encode(), "한서윤".encode()
    exif[0x0132] = "2026:04:17 10:30:00"
    exif[0x9C9E] = "냉동; 점검\0".encode("utf-16-le")
    metadata = parse(encoded(picture(), "JPEG", exif=exif)).metadata
    assert (metadata.title, metadata.author, metadata.tags) == ("점검 보고서", "한서윤", ("냉동", "점검"))
    assert metadata.authored_at == datetime(2026, 4, 17, 10, 30, tzinfo=UTC)


def test_what_cameras_write_is_no_title() -> None:
    exif = Image.Exif()
    exif[0x010E] = "OLYMPUS DIGITAL CAMERA         "
    assert parse(encoded(picture(), "JPEG", exif=exif)).metadata.title is None


def test_text_fields_of_a_png_are_metadata() -> None:
    fields = PngImagePlugin.PngInfo()
    fields.add_text("Title", "Floor plan")
    fields.add_text("Author", "A. Person")
    metadata = parse(encoded(picture(), "PNG", pnginfo=fields)).metadata
    assert (metadata.title, metadata.author) == ("Floor plan", "A. Person")


def test_a_photograph_is_turned_as_its_camera_was_held() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image, _ = read_frame(encoded(picture(64, 48), "JPEG", exif=exif), 1)
    assert image.size == (48, 64)


@pytest.mark.parametrize("dpi", [(0, 0), (1, 1), (99_999, 99_999)])
def test_absurd_resolutions_are_not_believed(dpi: tuple[int, int]) -> None:
    assert read_frame(encoded(picture(), "PNG", dpi=dpi), 1)[1] == 200


def test_garbage_after_the_first_bytes_is_refused() -> None:
    for start in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\0", b"BM", b"RIFF\0\0\0\0WEBP"):
        with pytest.raises(DocumentError):
            parse(start + bytes(range(256)) * 20)


@pytest.mark.parametrize("name", ["plain", "turned", "second"])
def test_a_heic_is_one_page_the_one_that_phones_show(name: str) -> None:
    parsed = parse(heic(name))
    assert (parsed.scans, parsed.mime) == ((1,), "image/heic")
    frame, _ = read_frame(heic(name), 1)
    assert frame.size == SIZE
    red, green, blue = frame.convert("RGB").getpixel((16, 12))  # the picture, not the black one before it
    assert red > 150 > max(green, blue)


def test_an_avif_is_one_page() -> None:
    assert parse(encoded(picture(), "AVIF")).scans == (1,)


def test_damaged_exif_does_not_keep_an_image_from_being_read() -> None:
    assert parse(damaged_exif()).scans == (1,)
    assert read_frame(damaged_exif(), 1)[0].size == SIZE
