"""Images as they are seen, whatever they are stored as; and what is refused."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, features

from schemas.errors import EmptyDocument, FetchFailed, ParseFailed, UnsupportedFormat
from tasks.images import opening
from tasks.images.opening import MAX_PIXELS, open_image, opened
from tasks.images.sidecars import bundle_header
from tests.images import source
from tests.images.source import GREYS, QUARTERS, SIZE, WHITE, encode, quarters

NEAR = 8
"""Levels that a lossy format may be off in the middle of a quarter."""


def seen(image):
    width, height = image.size
    return [image.getpixel((x * width // 4, y * height // 4)) for y in (1, 3) for x in (1, 3)]


def assert_shows(image, colours, near=NEAR):
    assert image.mode == "RGB"
    difference = np.abs(np.array(seen(image), int) - np.array(colours, int))
    assert difference.max() <= near, seen(image)


def as_grey(level):
    return (level,) * 3


@pytest.mark.parametrize("make", source.GOOD.values(), ids=source.GOOD)
def test_every_format_shows_the_same_picture(make):
    image = open_image(make())
    assert image.size == SIZE
    assert_shows(image, QUARTERS)


@pytest.mark.parametrize("make", source.GREY.values(), ids=source.GREY)
def test_greys_are_shown_as_bright_as_they_are(make):
    assert_shows(open_image(make()), [as_grey(level) for level in GREYS], near=1)


@pytest.mark.parametrize("make", source.STRETCHED.values(), ids=source.STRETCHED)
def test_greys_without_a_stated_range_are_shown_from_black_to_white(make):
    low, high = min(GREYS), max(GREYS)
    assert_shows(
        open_image(make()), [as_grey((level - low) * 255 // (high - low)) for level in GREYS], near=2
    )


@pytest.mark.parametrize("make", source.CLEAR.values(), ids=source.CLEAR)
def test_clear_parts_are_white_whatever_colour_they_hide(make):
    assert_shows(open_image(make()), [*QUARTERS[:3], WHITE])


def test_half_clear_parts_shine_through():
    image = Image.new("RGBA", SIZE, (200, 0, 0, 128))
    assert_shows(open_image(encode(image, "PNG")), [(227, 127, 127)] * 4, near=2)
    grey = Image.new("LA", SIZE, (0, 128))
    assert_shows(open_image(encode(grey, "PNG")), [as_grey(127)] * 4, near=2)


def test_one_bit_is_black_and_white():
    image = quarters((0, 1, 1, 0), mode="1")
    for form in ("PNG", "TIFF", "BMP"):
        assert_shows(open_image(encode(image, form)), [as_grey(255 * bit) for bit in (0, 1, 1, 0)], near=0)


def test_a_clear_grey_of_16_bits_is_white():
    image = Image.fromarray(source.deep_greys())
    data = encode(image, "PNG", transparency=GREYS[0] * 257)
    assert_shows(open_image(data), [as_grey(level) for level in (255, *GREYS[1:])], near=1)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_upright_however_its_camera_was_held(orientation, form):
    image = open_image(source.oriented(orientation, form))
    assert image.size == SIZE
    assert_shows(image, QUARTERS, near=12)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation):
    assert_shows(open_image(source.oriented(orientation)), QUARTERS)


def test_an_image_is_turned_once():
    for data in (source.oriented(6), source.oriented(1), source.heic("turned"), source.oriented(6, "PNG")):
        image = open_image(data)
        assert image.info == {}
        assert ImageOps.exif_transpose(image).tobytes() == image.tobytes()


def test_the_image_of_a_bundle_is_opened():
    bundle = bundle_header(".txt", 5) + b"a cat" + encode(quarters(), "PNG")
    assert_shows(open_image(bundle), QUARTERS, near=0)


def test_a_path_is_opened_like_its_bytes(tmp_path):
    path = tmp_path / "a.jpg"  # the content decides
    path.write_bytes(encode(quarters(), "PNG"))
    assert open_image(path).tobytes() == open_image(path.read_bytes()).tobytes()
    with pytest.raises(FetchFailed, match="could not be read"):
        open_image(Path(tmp_path / "none.jpg"))


@pytest.mark.parametrize(("target", "size"), [
    (None, (1600, 1200)), (1200, (1600, 1200)), (601, (1600, 1200)), (600, (800, 600)), (224, (400, 300)),
    (100, (200, 150)), (1, (200, 150)), (9999, (1600, 1200)),
])  # fmt: skip
def test_a_large_jpeg_is_decoded_no_larger_than_needed_and_no_smaller(target, size):
    image = open_image(source.photo_jpeg(), target=target)
    assert image.size == size
    assert_shows(image, QUARTERS)


def test_a_turned_jpeg_is_decoded_smaller_as_well():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = open_image(encode(quarters(size=(1600, 1200)), "JPEG", exif=exif), target=300)
    assert image.size == (300, 400)


def test_other_formats_keep_their_size():
    assert open_image(encode(quarters(size=(1600, 1200)), "PNG"), target=100).size == (1600, 1200)


@pytest.mark.parametrize("make", source.DAMAGED.values(), ids=source.DAMAGED)
def test_a_damaged_image_is_refused(make):
    with pytest.raises(ParseFailed, match="damaged or cut off") as caught:
        open_image(make())
    assert caught.value.advice
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_cut_off_jpeg_is_refused_even_where_little_of_it_is_needed():
    with pytest.raises(ParseFailed, match="cut off"):
        open_image(source.half(source.photo_jpeg()), target=32)


@pytest.mark.parametrize("make", source.TOO_LARGE.values(), ids=source.TOO_LARGE)
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(make, monkeypatch):
    def decode(self, *arguments, **options):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    with pytest.raises(ParseFailed, match="the limit is 100 million"):
        open_image(make())
    assert MAX_PIXELS == 100_000_000


@pytest.mark.parametrize("make", source.TOO_SMALL.values(), ids=source.TOO_SMALL)
def test_an_image_that_shows_nothing_is_empty(make):
    with pytest.raises(EmptyDocument, match="too small to show anything"):
        open_image(make())


@pytest.mark.parametrize("data", [b"", b"\0" * 100, bundle_header(".txt", 1) + b"a"])
def test_nothing_is_empty(data):
    with pytest.raises(EmptyDocument):
        open_image(data)


@pytest.mark.parametrize("make", source.NO_IMAGE.values(), ids=source.NO_IMAGE)
def test_what_is_no_image_is_refused_with_its_kind(make):
    with pytest.raises(UnsupportedFormat) as caught:
        open_image(make())
    assert caught.value.facts["format"] in caught.value.message
    assert caught.value.advice
    assert "collection of images" not in caught.value.advice, "that is where it is"


def test_avif_is_refused_with_a_reason_where_pillow_cannot_read_it(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(UnsupportedFormat, match="built without"):
        open_image(source.GOOD["avif"]())


def test_an_open_container_of_either_kind_is_read_by_its_further_brands():
    avif = source.GOOD["avif"]()
    end = int.from_bytes(avif[:4], "big")
    assert avif[8:12] == b"avif"
    assert b"avif" in avif[16:end]
    assert_shows(open_image(avif[:8] + b"mif1" + avif[12:]), QUARTERS)
    heic = source.heic("plain")
    assert_shows(open_image(heic[:8] + b"mif1" + heic[12:]), QUARTERS)


def test_no_warning_escapes():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in (source.damaged_exif, source.GOOD["mpo"], source.clear_palette, source.with_metadata):
            open_image(make())
        large = io.BytesIO()
        Image.new("1", (10_000, 9_000)).save(large, "PNG")  # Pillow warns from 89 million pixels on
        assert open_image(large.getvalue()).size == (10_000, 9_000)


def test_images_opened_by_several_threads_do_not_bring_back_each_others_warnings():
    before = list(warnings.filters)
    one, other = opened(encode(quarters(), "PNG")), opened(encode(quarters(), "PNG"))
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    warnings.warn("is ignored: the other is still being read", UserWarning, stacklevel=1)
    other.__exit__(None, None, None)
    assert warnings.filters == before
    with pytest.warns(UserWarning, match="is seen"):
        warnings.warn("is seen", UserWarning, stacklevel=1)


def test_running_out_of_memory_is_told_as_such(monkeypatch):
    def fail(image):
        raise MemoryError

    monkeypatch.setattr(opening, "to_rgb", fail)
    with pytest.raises(MemoryError):
        open_image(encode(quarters(), "PNG"))


def test_no_plugin_but_that_of_its_kind_sees_a_file():
    with opened(encode(quarters(), "PNG")) as image:
        assert image.format == "PNG"
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(UnsupportedFormat):
        open_image(eps)
