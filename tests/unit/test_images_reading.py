"""What is read of an image: its facts, its caption, and nothing else but errors that say why."""

from __future__ import annotations

import hashlib
import random
import signal
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from schemas.document import Metadata
from schemas.errors import DocumentError, FetchFailed, ParseFailed
from schemas.image import ImageFacts
from tasks.dedup.image import image_signature
from tasks.dedup.similarity import SignatureTable, compare
from tasks.images.opening import MAX_FRAMES, open_image
from tasks.images.reading import merge, read_image
from tasks.images.sidecars import bundle_header
from tasks.parsing.jobs import ImageJob, ParseJob
from tasks.parsing.worker import ParserPool, Request
from tests.images import source
from tests.images.source import SIZE, encode, half, large_picture, photo_jpeg, quarters
from tests.unit.test_dedup_image import picture

FUZZED = 2000
HANGING_S = 20


@pytest.fixture
def read(tmp_path):
    def read(data: bytes) -> ImageFacts:
        path = tmp_path / "blob"
        path.write_bytes(data)
        return read_image(path)

    return read


def bundle(image: bytes, sidecar: bytes, suffix: str = ".json") -> bytes:
    return bundle_header(suffix, len(sidecar)) + sidecar + image


@pytest.mark.parametrize(("name", "mime", "frames"), [
    ("jpeg", "image/jpeg", 1), ("mpo", "image/jpeg", 3), ("png", "image/png", 1), ("apng", "image/png", 3),
    ("webp", "image/webp", 1), ("webp animated", "image/webp", 3), ("gif", "image/gif", 1),
    ("gif animated", "image/gif", 3), ("bmp", "image/bmp", 1), ("tiff", "image/tiff", 1),
    ("tiff pages", "image/tiff", 3), ("avif", "image/avif", 1), ("heic", "image/heic", 1),
    ("heic second", "image/heic", 2),
])  # fmt: skip
def test_the_facts_of_every_format(read, name, mime, frames):
    data = source.GOOD[name]()
    facts = read(data)
    assert (facts.mime, facts.frames) == (mime, frames)
    assert (facts.width, facts.height) == SIZE
    assert facts.sha256 == hashlib.sha256(data).digest()
    assert facts.caption == ""


def test_the_size_is_that_of_the_file_upright_however_small_it_is_decoded(read):
    assert (read(photo_jpeg()).width, read(photo_jpeg()).height) == (1600, 1200)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read(encode(quarters(size=(1600, 1200)), "JPEG", exif=exif))
    assert (turned.width, turned.height) == (1200, 1600)
    for form in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):
        facts = read(source.oriented(8, form))
        assert (facts.width, facts.height) == SIZE, form
    assert (read(source.heic("turned")).width, read(source.heic("turned")).height) == SIZE


def test_the_signature_is_that_of_the_image_as_it_is_seen(read):
    data = encode(picture(1), "PNG")
    assert read(data).signature == image_signature(open_image(data))
    assert len(read(data).signature.minhash) == 80, "it knows no class"


def test_a_photograph_decoded_smaller_is_a_duplicate_of_its_lossless_copy(read):
    photo = picture(1, (1600, 1200))
    table = SignatureTable(
        [
            read(encode(photo, "JPEG", quality=80)).signature,
            read(encode(photo, "PNG", compress_level=1)).signature,
        ]
    )
    result = compare(table, np.array([0]), np.array([1]))
    assert result.is_duplicate[0]
    assert result.similarity[0] >= 0.98


def test_exif_and_text_fields_are_metadata(read):
    metadata = read(source.with_metadata()).metadata
    assert (metadata.title, metadata.author, metadata.tags) == ("냉동 창고", "한서윤", ("냉동", "점검"))
    assert metadata.authored_at == datetime(2026, 4, 17, 10, 30, tzinfo=UTC)
    assert read(source.with_text_fields()).metadata.title == "Floor plan"
    assert read(source.damaged_exif()).metadata == Metadata()


def test_a_sidecar_comes_before_what_the_file_says(read):
    image = source.with_metadata()
    sidecar = '{"caption": "창고 앞", "title": "Cold store", "tags": "ice", "shelf": 3}'.encode()
    plain, facts = read(image), read(bundle(image, sidecar))
    assert facts.caption == "창고 앞"
    own = plain.metadata
    assert facts.metadata == replace(own, title="Cold store", tags=("ice",), extra={"shelf": "3"})
    assert replace(facts, caption="", metadata=own) == plain, "its vector depends on nothing else"


def test_of_two_metadata_the_first_counts():
    first = Metadata(title="a", extra={"x": "1"})
    second = Metadata("b", "c", datetime(2026, 1, 1, tzinfo=UTC), "ko", ("t",), {"x": "2", "y": "3"})
    expected = Metadata("a", "c", datetime(2026, 1, 1, tzinfo=UTC), "ko", ("t",), {"x": "1", "y": "3"})
    assert merge(first, second) == expected
    assert merge(Metadata(), second) == second


def test_an_image_whose_sidecar_cannot_be_read_is_refused(read):
    image = source.GOOD["png"]()
    for suffix, sidecar in ((".json", b"{"), (".txt", bytes(range(32)))):
        with pytest.raises(ParseFailed, match=rf"sidecar \({suffix}\)"):
            read(bundle(image, sidecar, suffix))


def test_a_damaged_image_is_refused_with_and_without_its_sidecar(read):
    for make in source.DAMAGED.values():
        for data in (make(), bundle(make(), b"a cat", ".txt")):
            with pytest.raises(ParseFailed):
                read(data)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(FetchFailed):
        read_image(tmp_path / "none")


def test_a_tiff_whose_directories_form_a_loop_ends(read):
    data = bytearray(source.GOOD["tiff"]())
    first = int.from_bytes(data[4:8], "little")
    after = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[after : after + 4] = first.to_bytes(4, "little")
    assert 1 <= read(bytes(data)).frames <= MAX_FRAMES


def test_a_parser_process_reads_images_and_says_what_is_wrong(tmp_path):
    (tmp_path / "good").write_bytes(bundle(source.heic("plain"), b"a cat", ".txt"))
    (tmp_path / "bad").write_bytes(half(photo_jpeg()))
    (tmp_path / "text").write_bytes(b"a text")
    with ParserPool(1) as pool:
        asked = [
            pool.submit(Request(tmp_path / name, "a.jpg", job))
            for name, job in (("good", ImageJob()), ("bad", ImageJob()), ("text", ParseJob()))
        ]
        good, bad, text = [one.result() for one in asked]
    assert isinstance(good, ImageFacts)
    assert (good.caption, good.mime) == ("a cat", "image/heic")
    assert isinstance(bad, ParseFailed)
    assert not isinstance(text, ImageFacts | DocumentError)


def fuzzed(count: int) -> list[bytes]:
    """Fixtures with some of their bytes changed, or without their end."""
    rng = random.Random(20261120)
    tables = (source.GOOD, source.GREY, source.STRETCHED, source.CLEAR)
    seeds = [make() for table in tables for make in table.values()] + [encode(large_picture(), "JPEG")]
    found = []
    for number in range(count):
        data = bytearray(rng.choice(seeds))
        if number % 4 == 0:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice((0, 1, 1, 2, 8, 32)) if data else 0):
            # headers are where the sizes and offsets are
            at = rng.randrange(min(len(data), 200)) if rng.random() < 0.5 else rng.randrange(len(data))
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        if number % 10 == 0:
            data = bytearray(bundle(bytes(data), b'{"caption": "a cat"}'))
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        found.append(bytes(data))
    return found


class Hangs(BaseException):
    """No `Exception`: those are taken for the image's fault."""


@pytest.fixture
def alarm():
    def ring(number, frame):
        raise Hangs

    before = signal.signal(signal.SIGALRM, ring)
    yield signal.alarm
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_damaged_images_give_facts_or_errors_that_say_why_and_nothing_hangs(read, alarm):
    outcomes = {"facts": 0, "error": 0}
    for data in fuzzed(FUZZED):
        alarm(HANGING_S)
        try:
            facts = read(data)
        except (DocumentError, MemoryError):
            outcomes["error"] += 1
        else:
            assert min(facts.width, facts.height) >= 2
            outcomes["facts"] += 1
        alarm(0)
    assert min(outcomes.values()) > FUZZED / 10, outcomes
