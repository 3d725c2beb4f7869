"""Random views of a drawing: what may differ between two pictures of one thing."""

from __future__ import annotations

import random

from PIL import Image, ImageChops, ImageEnhance, ImageFilter

EDGE = 160
"""Pixels of the model's input; models/small_clip/README.md compares sizes."""
_BICUBIC = Image.Resampling.BICUBIC


def make_view(image: Image.Image, rng: random.Random) -> Image.Image:
    """An RGB image of `EDGE` pixels with other size, place, angle, ground, colours, sharpness and outline.

    Nothing is mirrored: arrows and letters are classes.
    """
    drawing = _recolour(image, rng)
    if rng.random() < 0.3:
        drawing = _outline(drawing, rng)
    drawing = drawing.rotate(rng.gauss(0, 8), _BICUBIC, expand=True)
    scale = EDGE * rng.uniform(0.6, 1.08) / max(drawing.size)
    stretch = rng.uniform(0.9, 1.1)
    size = max(round(drawing.width * scale * stretch), 8), max(round(drawing.height * scale / stretch), 8)
    canvas = Image.new("RGBA", (EDGE, EDGE), _choose_ground(rng))
    place = [round((EDGE - edge) / 2 + rng.gauss(0, 0.05) * EDGE) for edge in size]
    drawing = drawing.resize(size, _BICUBIC)
    canvas.paste(drawing, (place[0], place[1]), drawing)
    return _blur(canvas.convert("RGB"), rng)


def make_plain(image: Image.Image) -> Image.Image:
    """The drawing as a user's file is read: on white, resized."""
    canvas = Image.new("RGBA", image.size, "white")
    plain = Image.alpha_composite(canvas, image).convert("RGB")
    return plain.resize((EDGE, EDGE), _BICUBIC)


def _recolour(image: Image.Image, rng: random.Random) -> Image.Image:
    alpha = image.getchannel("A")
    colours = image.convert("RGB")
    if rng.random() < 0.5:
        hue, *rest = colours.convert("HSV").split()
        # a third turns far: the same thing is often sold in any colour
        shift = round(rng.gauss(0, 40 if rng.random() < 0.3 else 8)) % 256
        hue = hue.point([(value + shift) % 256 for value in range(256)])
        colours = Image.merge("HSV", (hue, *rest)).convert("RGB")
    saturation = 0.0 if rng.random() < 0.08 else rng.uniform(0.5, 1.5)
    colours = ImageEnhance.Color(colours).enhance(saturation)
    colours = ImageEnhance.Brightness(colours).enhance(rng.uniform(0.75, 1.25))
    colours = ImageEnhance.Contrast(colours).enhance(rng.uniform(0.75, 1.25))
    colours.putalpha(alpha)
    return colours


def _outline(image: Image.Image, rng: random.Random) -> Image.Image:
    """Dark lines where colours meet and around the drawing, as many illustrators draw."""
    edge = 96
    image = image.resize((edge, round(edge * image.height / image.width) or 1), _BICUBIC)
    inner = image.convert("L").filter(ImageFilter.FIND_EDGES).point([0] * 40 + [255] * 216)
    alpha = image.getchannel("A")
    ring = ImageChops.subtract(alpha, alpha.filter(ImageFilter.MinFilter(5)))
    lines = ImageChops.multiply(ImageChops.lighter(inner, ring), alpha)
    dark = rng.randrange(0, 60)
    result = image.copy()
    result.paste((dark, dark, dark, 255), mask=lines.filter(ImageFilter.GaussianBlur(0.5)))
    return result


def _choose_ground(rng: random.Random) -> tuple[int, int, int, int]:
    kind = rng.random()
    if kind < 0.6:
        return (255, 255, 255, 255)
    if kind < 0.8:
        grey = rng.randrange(200, 256)
        return (grey, grey, grey, 255)
    return (rng.randrange(256), rng.randrange(256), rng.randrange(256), 255)


def _blur(image: Image.Image, rng: random.Random) -> Image.Image:
    if rng.random() < 0.3:
        small = rng.randrange(40, 120)
        image = image.resize((small, small), _BICUBIC).resize((EDGE, EDGE), _BICUBIC)
    return image
