"""What an image model is, read from its own files: no framework is imported.

A model is named in one of four ways: the small one that ships with this project, a short name
of a known CLIP, a hub name, or a folder. Each leads to an open_clip folder on this machine and
to a revision that identifies the weights.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from schemas.embedding import EmbeddingSpace
from schemas.errors import ModelNotAvailable
from tasks.embedding.card import hash_folder
from tasks.embedding.hub import Choice, HubKind, find_hub_model
from tasks.embedding.image_files import CONFIG_FILE, WEIGHT_FILES, read_image_model_files

DECODING_VERSION = 1
"""Of the rules that make pixels of a file (`tasks.embedding.decoding`): other rules, other vectors."""

SMALL_IMAGE_MODEL = "small-clip"
SMALL_FOLDER = Path(__file__).parents[2] / "models" / "small_clip"
"""Beside this package, in a checkout as in an installation; other folders named models do not matter."""

SHORT_NAMES = {
    "ViT-B-32": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "ViT-L-14": "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "*.model",
)  # fmt: skip
_INSTEAD = "give local-dir:FOLDER, or use small-clip, which ships with revector and needs no network"
_HUB_IMAGE_MODELS = HubKind(
    choices=tuple(
        Choice(allow=[CONFIG_FILE, *_TOKENIZER_FILES, name])
        for name in (*WEIGHT_FILES, "*.safetensors", "*.bin")
    ),
    check=read_image_model_files,
    instead=_INSTEAD,
)


@dataclass(frozen=True, slots=True)
class ImageCard:
    """An image model on this machine.

    Attributes:
        name: of a hub model ``ORG/NAME``, of a folder its last part, never the machine's path.
        path: folder with the model's files.
        revision: what identifies the weights and the configuration.
        dim: length of a vector.
        image_size: (height, width) in pixels of what the model sees.
        mean, std: of each channel (red, green, blue), for values from 0 to 1.
        interpolation: ``bicubic`` or ``bilinear``.
        resize_mode: ``shortest`` crops what is over, ``longest`` pads what is missing, ``squash``
            stretches.
        fill_color: 0 to 255, of what is padded.
    """

    name: str
    path: Path
    revision: str
    dim: int
    image_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0

    def space(self) -> EmbeddingSpace:
        """The embedding space of this model's vectors.

        The model's files, and so its revision, hold how pixels are resized and scaled; how
        pixels come out of a file is ours, and in the provider.
        """
        return EmbeddingSpace(
            modality="image",
            provider=f"open_clip, decoding {DECODING_VERSION}",
            model=self.name,
            revision=self.revision,
            dim=self.dim,
        )


def resolve_image_model(name: str, *, cache_dir: Path | None = None) -> ImageCard:
    """Find an image model by its name and read what it is.

    Args:
        name: ``small-clip`` (ships with revector, works offline), ``ViT-B-32``, ``ViT-L-14``, a
            hub name (``ORG/NAME``, ``hf-hub:ORG/NAME``), or a folder (``local-dir:FOLDER``, or
            its path), all of open_clip models.
        cache_dir: hub cache; None means the hub library's own.

    Raises:
        ModelNotAvailable: no such model here and none to be fetched, within seconds.
    """
    if name == SMALL_IMAGE_MODEL:
        return _make_card(name, _small_folder())
    if name.startswith("local-dir:"):
        return _from_folder(name.removeprefix("local-dir:"))
    if name and name not in SHORT_NAMES and Path(name).expanduser().is_dir():
        return _from_folder(name)
    hub_name = SHORT_NAMES.get(name, name.removeprefix("hf-hub:"))
    if not _HUB_NAME.fullmatch(hub_name):
        raise _unknown(name)
    path, revision = find_hub_model(hub_name, cache_dir=cache_dir, kind=_HUB_IMAGE_MODELS)
    return _make_card(hub_name, path, revision)


def _from_folder(given: str) -> ImageCard:
    folder = Path(given).expanduser()
    if not given or not folder.is_dir():
        raise ModelNotAvailable(
            f"There is no folder {given}.",
            advice="Give the folder of a downloaded open_clip model, or use small-clip.",
        )
    return _make_card(folder.resolve().name, folder.resolve())


def _make_card(name: str, path: Path, revision: str | None = None) -> ImageCard:
    facts = read_image_model_files(path)
    return ImageCard(
        name=name,
        path=path,
        revision=revision or hash_folder(path),
        dim=facts.dim,
        image_size=facts.image_size,
        mean=facts.mean,
        std=facts.std,
        interpolation=facts.interpolation,
        resize_mode=facts.resize_mode,
        fill_color=facts.fill_color,
    )


def _small_folder() -> Path:
    if SMALL_FOLDER.is_dir():
        return SMALL_FOLDER
    raise ModelNotAvailable(
        "The model small-clip is not part of this installation.",
        advice="Install revector again, or give local-dir:FOLDER.",
    )


def _unknown(name: str) -> ModelNotAvailable:
    known = ", ".join((SMALL_IMAGE_MODEL, *SHORT_NAMES))
    return ModelNotAvailable(
        f"There is no image model {name!r}, and no folder of that name.",
        advice=f"Give one of {known}, a hub name such as {SHORT_NAMES['ViT-B-32']}, or local-dir:FOLDER.",
        model=name,
    )
