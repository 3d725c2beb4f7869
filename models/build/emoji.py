"""Emoji as a data set: who drew them, which are classes, what they are called, which are held out."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from models.build.fetch import fetch_npm, load_rasterizer

RASTER_PX = 128
"""SVG is drawn, and larger bitmaps are reduced, to this edge."""
UNSEEN_PERCENT = 25
_NAMES = ("emojibase-data", "17.0.0")
_VARIATION_SELECTOR = 0xFE0F
# what variants of one drawing differ in: sex and age of a person, the direction of a walk
_PEOPLE = {0x1F468, 0x1F469, 0x1F9D1, 0x1F466, 0x1F467, 0x1F9D2, 0x1F474, 0x1F475, 0x1F9D3}
_JOINERS = {0x200D, 0x2640, 0x2642, 0x27A1}


@dataclass(frozen=True, slots=True)
class Vendor:
    """A published set of drawings.

    Attributes:
        pattern: of the images in the tarball; its group holds the code points. None for an icon set
            (`icons.json`), whose icons are known by name.
    """

    name: str
    package: str
    version: str
    licence: str
    pattern: str | None = None


_PNG = r"img/(?:google|twitter)/64/([0-9a-f-]+)\.png"
VENDORS = (
    Vendor("noto", "emoji-datasource-google", "16.0.0", "Apache-2.0", _PNG),
    Vendor("twemoji", "emoji-datasource-twitter", "16.0.0", "CC-BY-4.0", _PNG),
    Vendor("noto-2017", "emoji-datasource-google", "4.1.0", "Apache-2.0", _PNG),
    Vendor("noto-blob", "emoji-datasource-google", "3.0.0", "Apache-2.0", _PNG),
    Vendor("fluent-3d", "@lobehub/fluent-emoji-3d", "1.1.0", "MIT", r"assets/([0-9a-f-]+)\.webp"),
    Vendor("fluent-flat", "@lobehub/fluent-emoji-flat", "1.1.0", "MIT", r"assets/([0-9a-f-]+)\.svg"),
    Vendor("emojione-2", "@iconify-json/emojione", "1.2.3", "CC-BY-4.0"),
    Vendor("fxemoji", "@iconify-json/fxemoji", "1.2.2", "Apache-2.0"),
    Vendor("streamline", "@iconify-json/streamline-emojis", "1.2.4", "CC-BY-4.0"),
)
HELD_OUT = Vendor("openmoji", "openmoji", "17.0.0", "CC-BY-SA-4.0", r"color/svg/([0-9A-F-]+)\.svg")
"""Its images are queries only: no step of training reads them."""


@dataclass(frozen=True, slots=True)
class Emoji:
    """One class. `key` is its code points in hexadecimal, `english` and `korean` begin with its name."""

    key: str
    english: tuple[str, ...]
    korean: tuple[str, ...]
    is_unseen: bool


def list_emoji() -> list[Emoji]:
    """All base emoji that Noto draws, by key: no skin tones, no flags, no components."""
    noto = VENDORS[0]
    with tarfile.open(fetch_npm(noto.package, noto.version)) as archive:
        entries = _read_json(archive, "package/emoji.json")
    with tarfile.open(fetch_npm(*_NAMES)) as archive:
        english, korean = (
            {make_key(entry["hexcode"]): entry for entry in _read_json(archive, f"package/{code}/data.json")}
            for code in ("en", "ko")
        )
    keys = {
        make_key(entry["unified"]) for entry in entries if entry["category"] not in ("Flags", "Component")
    }
    return [
        Emoji(key, _list_names(english[key]), _list_names(korean[key]), is_unseen(key))
        for key in sorted(keys & english.keys() & korean.keys())
    ]


def is_unseen(key: str) -> bool:
    """Whether a class is held out of training, by a hash of what it shows.

    Variants by sex and age share the hash, or a sister of each held-out class would be trained on.

    >>> is_unseen("1f3c3-200d-2640") == is_unseen("1f3c3")
    True
    """
    points = [int(part, 16) for part in key.split("-")]
    kept = [point for point in points if point not in _PEOPLE | _JOINERS] or [0]
    digest = hashlib.sha256("-".join(f"{point:x}" for point in kept).encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < UNSEEN_PERCENT


def make_key(code_points: str) -> str:
    """Code points without the variation selector, which vendors write or leave out.

    >>> make_key("0023-FE0F-20E3")
    '23-20e3'
    """
    points = [int(part, 16) for part in code_points.split("-")]
    return "-".join(f"{point:x}" for point in points if point != _VARIATION_SELECTOR)


def read_images(vendor: Vendor, keys: Sequence[str], edge: int = RASTER_PX) -> dict[str, Image.Image]:
    """The vendor's images of these emoji by key, RGBA with at most `edge` pixels a side."""
    wanted = set(keys)
    with tarfile.open(fetch_npm(vendor.package, vendor.version)) as archive:
        found = _read_files(archive, vendor.pattern) if vendor.pattern else _read_icons(archive)
        return {key: _open(data, edge) for key, data in found if key in wanted}


def on_white(image: Image.Image) -> Image.Image:
    """The image composited on white, RGB."""
    canvas = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")


def _open(data: bytes, edge: int) -> Image.Image:
    if b"<svg" in data[:1000]:
        data = load_rasterizer().svg_to_bytes(svg_string=data.decode(), width=edge, height=edge)
    image = Image.open(io.BytesIO(bytes(data))).convert("RGBA")
    if max(image.size) > edge:
        image.thumbnail((edge, edge), Image.Resampling.BICUBIC)
    return image


def _read_files(archive: tarfile.TarFile, pattern: str) -> Iterator[tuple[str, bytes]]:
    full = re.compile(f"package/{pattern}")
    for member in archive:
        if (match := full.fullmatch(member.name)) and (file := archive.extractfile(member)):
            yield make_key(match[1]), file.read()


def _read_icons(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Icons whose name is one of an emoji; streamline numbers several drawings of one, the first counts."""
    icons = _read_json(archive, "package/icons.json")
    known, given = _index_names(), set()
    for name, icon in icons["icons"].items():
        key = known.get(_squeeze(name)) or known.get(_squeeze(re.sub(r"-\d$", "", name)))
        if key is None or key in given:
            continue
        given.add(key)
        width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
        box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
        yield key, f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{icon["body"]}</svg>'.encode()


def _index_names() -> dict[str, str]:
    """Key by squeezed name, from short names to Unicode's own, which win."""
    noto = VENDORS[0]
    with tarfile.open(fetch_npm(noto.package, noto.version)) as archive:
        entries = _read_json(archive, "package/emoji.json")
    with tarfile.open(fetch_npm(*_NAMES)) as archive:
        labels = _read_json(archive, "package/en/data.json")
    index = {_squeeze(name): make_key(e["unified"]) for e in entries for name in e["short_names"]}
    index |= {_squeeze(entry["name"]): make_key(entry["unified"]) for entry in entries if entry["name"]}
    return index | {_squeeze(entry["label"]): make_key(entry["hexcode"]) for entry in labels}


def _squeeze(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _list_names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (entry["label"], *(tag for tag in entry.get("tags", ()) if tag != entry["label"]))


def _read_json(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    assert file, name
    return json.load(file)
