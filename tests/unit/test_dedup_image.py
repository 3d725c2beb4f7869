import io
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from schemas.duplicate import BANDS
from tasks.dedup.image import image_signature
from tasks.dedup.signature import text_signature
from tasks.dedup.similarity import SignatureTable, compare


def picture(seed, size=(480, 360)):
    rng = random.Random(seed)
    image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        colour = tuple(rng.randrange(256) for _ in range(3))
        draw.ellipse([x, y, x + rng.randrange(20, 150), y + rng.randrange(20, 150)], fill=colour)
    return image


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


def judge(one, other):
    table = SignatureTable([image_signature(one), image_signature(other)])
    result = compare(table, np.array([0]), np.array([1]), threshold=0.5)
    return float(result.similarity[0]), bool(result.is_duplicate[0])


COPIES = {
    "the same": lambda image: image,
    "re-encoded": lambda image: encoded(image, quality=50),
    "smaller": lambda image: image.resize((200, 150)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.08),
    "grey": lambda image: image.convert("L"),
    "palette": lambda image: image.convert("P"),
    "16 bits": lambda image: Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257),
    "CMYK": lambda image: image.convert("CMYK"),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_copy_of_an_image_is_a_duplicate(change):
    image = picture(1)
    similarity, is_duplicate = judge(image, change(image))
    assert is_duplicate
    assert similarity >= 0.94
    assert set(image_signature(image).bands) & set(image_signature(change(image)).bands)


def test_other_images_are_not_duplicates_whatever_the_threshold():
    images = [image_signature(picture(seed)) for seed in range(12)]
    table = SignatureTable(images)
    left, right = np.triu_indices(12, 1)
    assert not compare(table, left, right, threshold=0.1).is_duplicate.any()


def test_an_image_is_seen_as_its_exif_tag_turns_it():
    image = picture(2)
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 270 degrees
    assert judge(image, encoded(turned, exif=exif, quality=90)) == (pytest.approx(1.0, abs=0.06), True)
    assert not judge(image, encoded(turned, quality=90))[1]


def test_transparent_parts_are_white():
    image = picture(3).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    hidden = np.asarray(image).copy()
    hidden[hidden[..., 3] == 0, :3] = 77  # colours nobody sees
    assert judge(image, Image.fromarray(hidden)) == (1.0, True)


@pytest.mark.parametrize("image", [
    Image.new("RGB", (100, 100), "white"), Image.new("L", (1, 1), 0),
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)),
    encoded(Image.new("RGB", (640, 480), (3, 200, 7)), quality=30),
    Image.fromarray(np.random.default_rng(1).integers(250, 253, (300, 300)).astype(np.uint8)),
    Image.linear_gradient("L"),
])  # fmt: skip
def test_an_image_without_structure_has_nothing_to_compare(image):
    signature = image_signature(image)
    assert (signature.minhash, signature.bands) == (b"", ())
    assert judge(image, image) == (0.0, False)


def test_fifteen_of_256_bits_are_near_and_sixteen_are_not():
    signature = image_signature(picture(4))
    assert len(signature.bands) == BANDS
    for count in (0, 1, 15, 16):
        bits = np.unpackbits(np.frombuffer(signature.minhash, np.uint8))
        bits[: count * 16 : 16] ^= 1  # one in each band
        other = type(signature)("image", np.packbits(bits).tobytes(), b"", b"", b"", 0, ())
        result = compare(SignatureTable([signature, other]), np.array([0]), np.array([1]))
        assert result.similarity[0] == pytest.approx(1 - count / 256, abs=1e-4)
        assert result.is_duplicate[0] == (count <= 15)


def test_an_image_and_a_text_are_never_compared():
    signatures = [image_signature(picture(5)), text_signature("one two three four five six")]
    result = compare(SignatureTable(signatures), np.array([0, 1]), np.array([1, 0]), threshold=0.0)
    assert result.similarity.tolist() == [0.0, 0.0]
    assert not result.is_duplicate.any()
