import io
import random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from schemas.duplicate import BANDS
from tasks.dedup.image import image_signature, with_class
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


def encoded(image, form="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


def with_watermark(image):
    marked = image.copy()
    ImageDraw.Draw(marked).text((350, 330), "(c) a shop", fill="white", font_size=18)
    return marked


def turn_hue(image, degrees):
    hsv = np.asarray(image.convert("HSV")).copy()
    hsv[..., 0] += np.uint8(degrees * 255 // 360)
    return Image.frombytes("HSV", image.size, hsv.tobytes()).convert("RGB")


def product(colour, seed=1):
    """A thing of one colour on white paper."""
    rng = random.Random(seed)
    image = Image.new("RGB", (300, 300), "white")
    draw = ImageDraw.Draw(image)
    draw.polygon([(rng.randrange(40, 260), rng.randrange(40, 260)) for _ in range(9)], fill=colour)
    return image


def judge(one, other):
    table = SignatureTable([image_signature(one), image_signature(other)])
    result = compare(table, np.array([0]), np.array([1]), threshold=0.5)
    return float(result.similarity[0]), bool(result.is_duplicate[0])


COPIES = {
    "the same": lambda image: image,
    "re-encoded": lambda image: encoded(image, quality=50),
    "smaller": lambda image: image.resize((200, 150)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.08),
    "WebP": lambda image: encoded(image, "WEBP", quality=50),
    "PNG": lambda image: encoded(image, "PNG"),
    "larger": lambda image: image.resize((960, 720)),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.88),
    "watermark": with_watermark,
    "palette": lambda image: image.convert("P"),
    "CMYK": lambda image: image.convert("CMYK"),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_copy_of_an_image_is_a_duplicate(change):
    image = picture(1)
    similarity, is_duplicate = judge(image, change(image))
    assert is_duplicate
    assert similarity >= 0.94
    assert set(image_signature(image).bands) & set(image_signature(change(image)).bands)


def test_a_grey_image_of_16_bits_is_a_copy_of_that_of_8():
    image = picture(1).convert("L")
    deep = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    assert judge(image, deep) == (1.0, True)


RECOLOURED = {
    "red and blue": ("#c01818", "#1840c8"),
    "red and green": ("#c01818", "#188a18"),
    "blue and its grey": ("#1840c8", "#4b4b4b"),
    "black and light grey": ("#101010", "#b4b4b4"),
}


@pytest.mark.parametrize("colours", RECOLOURED.values(), ids=RECOLOURED)
@pytest.mark.parametrize("seed", range(4))
def test_a_thing_in_another_colour_is_no_duplicate(colours, seed):
    one, other = (product(colour, seed) for colour in colours)
    similarity, is_duplicate = judge(one, other)
    assert similarity >= 0.94, "the hash does not tell them apart: the colours must"
    assert not is_duplicate
    assert judge(one, encoded(one, quality=60))[1]


@pytest.mark.parametrize("change", [
    lambda image: turn_hue(image, 20), lambda image: turn_hue(image, 180), lambda image: image.convert("L"),
])  # fmt: skip
def test_a_recoloured_photograph_is_no_duplicate(change):
    assert not judge(picture(1), change(picture(1)))[1]


def test_brightness_and_contrast_may_differ_by_an_eighth():
    for seed in range(5):
        for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast):
            for factor in (0.9, 1.1):
                assert judge(picture(seed), enhancer(picture(seed)).enhance(factor))[1]


def test_which_image_is_left_makes_no_difference():
    images = [image_signature(product(colour)) for colour in ("#c01818", "#b01818", "#c03018", "#804040")]
    table = SignatureTable(images)
    left, right = np.triu_indices(4, 1)
    one, other = compare(table, left, right), compare(table, right, left)
    assert one.is_duplicate.tolist() == other.is_duplicate.tolist()
    assert one.similarity.tolist() == other.similarity.tolist()


def test_equal_images_of_different_classes_are_neither_duplicates_nor_candidates():
    bare = image_signature(picture(1))
    cat, dog = with_class(bare, "cat"), with_class(bare, "dog")
    table = SignatureTable([bare, cat, dog, with_class(bare, "cat")])
    result = compare(table, np.array([0, 0, 1, 1]), np.array([1, 2, 2, 3]))
    assert result.is_duplicate.tolist() == [False, False, False, True]
    assert not (set(bare.bands) & set(cat.bands) or set(cat.bands) & set(dog.bands))
    assert set(cat.bands) == set(with_class(bare, "cat").bands)


def test_the_class_of_a_signature_can_be_changed_and_taken_away():
    bare = image_signature(picture(1))
    assert with_class(with_class(bare, "cat"), "dog") == with_class(bare, "dog")
    assert with_class(with_class(bare, "cat"), "") == with_class(bare, "") == bare
    assert len(with_class(bare, "고양이").minhash) == 32 + 48 + 8
    plain = image_signature(Image.new("RGB", (100, 100), "white"))
    assert with_class(plain, "cat") == plain


def test_a_thousand_pairs_are_judged_as_each_alone():
    rng = random.Random(3)
    images = [image_signature(product(colour, rng.randrange(3))) for colour in RECOLOURED["red and blue"] * 4]
    table = SignatureTable([with_class(image, rng.choice(["", "cat"])) for image in images])
    left, right = (np.array([rng.randrange(8) for _ in range(1000)]) for _ in range(2))
    together = compare(table, left, right).is_duplicate.tolist()
    alone = [bool(compare(table, left[i : i + 1], right[i : i + 1]).is_duplicate[0]) for i in range(1000)]
    assert together == alone
    assert any(together)
    assert not all(together)


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
        bits = np.unpackbits(np.frombuffer(signature.minhash[:32], np.uint8))
        bits[: count * 16 : 16] ^= 1  # one in each band
        other = type(signature)(
            "image", np.packbits(bits).tobytes() + signature.minhash[32:], b"", b"", b"", 0, ()
        )
        result = compare(SignatureTable([signature, other]), np.array([0]), np.array([1]))
        assert result.similarity[0] == pytest.approx(1 - count / 256, abs=1e-4)
        assert result.is_duplicate[0] == (count <= 15)


def test_an_image_and_a_text_are_never_compared():
    signatures = [image_signature(picture(5)), text_signature("one two three four five six")]
    result = compare(SignatureTable(signatures), np.array([0, 1]), np.array([1, 0]), threshold=0.0)
    assert result.similarity.tolist() == [0.0, 0.0]
    assert not result.is_duplicate.any()
