"""An image made ready for OCR: grey, upright lines, no ruled lines, letters large enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

    Array = Any  # a numpy array; numpy is imported where it is used

MAX_PIXELS = 25_000_000
"""Of the image that is read: A3 at 300 dpi has 17 million."""

MIN_SIDE = 1200
"""Pixels; an image whose longer side is shorter is enlarged, up to three times."""

MAX_TILT = 4.0
_TILT_STEPS = (0.5, 0.1)
_SMALL = 700
_RULE_INCH = 0.6
_MIN_TILT = 0.15
_FAINT = 0.25
_RESIZABLE = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")


def prepare(image: Image.Image, dpi: int) -> tuple[Image.Image, int]:
    """The image in grey, dark on light, and its dpi after any change of size.

    Lines are made level and ruled lines taken out: together they bring the share of Korean
    characters read right from 0.92 to 0.98 on the fixtures (tesseract 5.3, Nov 2026).
    """
    if image.mode in _RESIZABLE and image.width * image.height > MAX_PIXELS:
        image, dpi = _resized(image, dpi)  # before it is converted: that takes memory for each channel
    grey, dpi = _resized(_dark_on_light(_to_grey(image)), dpi)
    angle = tilt(grey)
    if abs(angle) >= _MIN_TILT:
        import PIL.Image

        grey = grey.rotate(angle, PIL.Image.Resampling.BICUBIC, fillcolor=_paper(grey))
    return without_rules(grey, dpi), dpi


def tilt(grey: Image.Image) -> float:
    """Degrees by which the image must be turned (counter-clockwise) for its lines to be level.

    The angle at which the rows' sums of ink differ most; coarse steps first, then fine ones.
    """
    import numpy as np

    small = grey.copy()
    small.thumbnail((_SMALL, _SMALL))
    ink = 255.0 - np.asarray(small, dtype=np.float32)
    ys, xs = np.nonzero(ink > 0.5 * max(float(ink.max()), 1.0))
    if len(ys) < 50:
        return 0.0
    best = 0.0
    for step, reach in ((_TILT_STEPS[0], MAX_TILT), (_TILT_STEPS[1], _TILT_STEPS[0])):
        angles = np.arange(best - reach, best + reach + step / 2, step)
        best = float(max(angles, key=lambda angle: _sharpness(xs, ys, float(angle))))
    return -round(best, 2)


def _sharpness(xs: Array, ys: Array, angle: float) -> float:
    import numpy as np

    rows = ys + xs * np.tan(np.radians(angle))  # where the points lie once turned
    counts, _ = np.histogram(rows, bins=np.arange(rows.min() - 1, rows.max() + 2))
    return float((np.diff(counts.astype(np.float64)) ** 2).sum()) - abs(angle)


def without_rules(grey: Image.Image, dpi: int) -> Image.Image:
    """The image without straight dark lines longer than any letter's stroke."""
    import numpy as np
    import PIL.Image

    pixels = np.array(grey)
    dark = pixels < _faint(grey)
    length = max(int(_RULE_INCH * dpi), 20)
    rules = _long_runs(dark, length) | _long_runs(dark.T, length).T
    thick = max(1, dpi // 150)
    rules &= ~_long_runs(rules.T, 6 * thick).T | ~_long_runs(rules, 6 * thick)  # black areas are no rules
    if not rules.any():
        return grey
    pixels[_widened(rules, thick)] = _paper(grey)
    return PIL.Image.fromarray(pixels)


def _long_runs(dark: Array, length: int) -> Array:
    """Pixels in runs of dark ones along a row that are at least `length` long."""
    import numpy as np

    if dark.shape[1] < length:
        return np.zeros_like(dark)
    sums = np.zeros((dark.shape[0], dark.shape[1] + 1), dtype=np.int32)
    np.cumsum(dark, axis=1, out=sums[:, 1:])
    full = sums[:, length:] - sums[:, :-length] == length
    marks = np.zeros((dark.shape[0], dark.shape[1] + 1), dtype=np.int32)
    marks[:, : full.shape[1]] += full
    marks[:, length:] -= full[:, : marks.shape[1] - length]
    inside: Array = np.cumsum(marks, axis=1)[:, :-1] > 0
    return inside


def _widened(mask: Array, by: int) -> Array:
    wide = mask.copy()
    for step in range(1, by + 1):
        wide[step:] |= mask[:-step]
        wide[:-step] |= mask[step:]
        wide[:, step:] |= mask[:, :-step]
        wide[:, :-step] |= mask[:, step:]
    return wide


def _faint(grey: Image.Image) -> int:
    """The level under which a pixel is drawn, if only in light grey."""
    paper = _paper(grey)
    darkest = next(level for level, count in enumerate(grey.histogram()) if count)
    return int(paper - _FAINT * (paper - darkest))


def _paper(grey: Image.Image) -> int:
    """The most common grey level."""
    histogram = grey.histogram()
    return max(range(256), key=histogram.__getitem__)


def _dark_on_light(grey: Image.Image) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.invert(grey) if _paper(grey) < 96 else grey


def _to_grey(image: Image.Image) -> Image.Image:
    """Eight bits of grey; what is transparent is white paper."""
    import PIL.Image

    if image.mode.startswith(("I", "F")):
        return _from_deep(image)
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = PIL.Image.new("RGBA", image.size, "white")
        image = PIL.Image.alpha_composite(paper, image)
    return image if image.mode == "L" else image.convert("L")


def _from_deep(image: Image.Image) -> Image.Image:
    """Sixteen bits and more, stretched from the darkest to the lightest."""
    import numpy as np
    import PIL.Image

    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / max(high - low, 1e-6))
    return PIL.Image.fromarray(scaled.clip(0, 255).astype(np.uint8))


def _resized(grey: Image.Image, dpi: int) -> tuple[Image.Image, int]:
    import PIL.Image

    side, pixels = max(grey.size), grey.width * grey.height
    scale = min(3.0, MIN_SIDE / side) if side < MIN_SIDE else min(1.0, (MAX_PIXELS / pixels) ** 0.5)
    if scale == 1.0:
        return grey, dpi
    size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
    return grey.resize(size, PIL.Image.Resampling.LANCZOS), max(70, round(dpi * scale))
