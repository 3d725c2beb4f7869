"""Reading an open_clip folder: dimension and preprocessing from its files."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ModelNotAvailable

CONFIG_FILE = "open_clip_config.json"
WEIGHT_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
"""In the order in which open_clip takes them (`_find_checkpoint_in_dir`, 3.3.0)."""

_SUFFIXES = (".safetensors", ".bin", ".pth")
# Defaults of open_clip: `constants.OPENAI_DATASET_*`, `PreprocessCfg`, `CLIPVisionCfg`.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
_IMAGE_SIZE = 224
_INTERPOLATIONS = {"bicubic": "bicubic", "bilinear": "bilinear", "random": "bicubic"}
_RESIZE_MODES = ("shortest", "longest", "squash")
_MAX_IMAGE_SIZE = 4096


@dataclass(frozen=True, slots=True)
class ImageModelFiles:
    """Facts from a model's files; the fields are those of ImageCard."""

    dim: int
    image_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    resize_mode: str
    fill_color: int


def read_image_model_files(folder: Path) -> ImageModelFiles:
    """Read what an open_clip folder says of its model.

    Raises:
        ModelNotAvailable: the folder is incomplete, or is no open_clip model.
    """
    config = _read_config(folder)
    model, preprocess = config.get("model_cfg"), config.get("preprocess_cfg") or {}
    if not isinstance(model, dict) or not isinstance(preprocess, dict):
        raise _unusable(folder, f"{CONFIG_FILE} has no model_cfg, so it describes no CLIP model")
    if not all(isinstance(model.get(part), dict) for part in ("vision_cfg", "text_cfg")):
        raise _unusable(folder, f"{CONFIG_FILE} names no image and text tower, so it is no CLIP model")
    if "trust_remote_code" in str(model["text_cfg"].get("tokenizer_kwargs")):
        raise _unusable(folder, "its tokenizer needs code of its own (no model code is run)")
    _check_weights(folder)
    try:
        return _read_facts(model, preprocess)
    except (TypeError, ValueError, KeyError, OverflowError) as exc:
        raise _unusable(folder, f"{CONFIG_FILE} has a value that cannot be used ({exc})") from exc


def _read_facts(model: dict[str, Any], preprocess: dict[str, Any]) -> ImageModelFiles:
    dim, fill = model.get("embed_dim"), preprocess.get("fill_color") or 0
    if not isinstance(dim, int) or dim < 1:
        raise ValueError(f"embed_dim {dim!r}")
    mode = preprocess.get("resize_mode") or "shortest"
    if mode not in _RESIZE_MODES:
        raise ValueError(f"resize_mode {mode!r}")
    if not isinstance(fill, int) or not 0 <= fill <= 255:
        raise ValueError(f"fill_color {fill!r}")
    std = _three(preprocess.get("std"), _STD)
    if min(std) <= 0:
        raise ValueError(f"std {std}")
    return ImageModelFiles(
        dim=dim,
        image_size=_read_size(model["vision_cfg"].get("image_size", _IMAGE_SIZE)),
        mean=_three(preprocess.get("mean"), _MEAN),
        std=std,
        interpolation=_INTERPOLATIONS[preprocess.get("interpolation") or "bicubic"],
        resize_mode=mode,
        fill_color=fill,
    )


def _read_size(value: Any) -> tuple[int, int]:
    height, width = value if isinstance(value, list) else (value, value)
    for side in (height, width):
        if not isinstance(side, int) or not 1 <= side <= _MAX_IMAGE_SIZE:
            raise ValueError(f"image_size {value!r}")
    return height, width


def _three(value: Any, default: tuple[float, float, float]) -> tuple[float, float, float]:
    if not value:
        return default
    red, green, blue = value if isinstance(value, list) else (value, value, value)
    three = float(red), float(green), float(blue)
    if not all(map(math.isfinite, three)):
        raise ValueError(f"{value!r} is not finite")
    return three


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        text_model = (folder / "modules.json").is_file()
        kind = "it is a text model" if text_model else "it is no open_clip model"
        raise _unusable(folder, f"it has no {CONFIG_FILE}, so {kind}")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise _unusable(folder, f"{CONFIG_FILE} cannot be read ({exc})") from exc
    return config if isinstance(config, dict) else {}


def _check_weights(folder: Path) -> None:
    path = choose_weights(folder)
    if path is None:
        raise _unusable(folder, "it has no weights (open_clip_model.safetensors or the like)")
    if path.suffix == ".pth":
        raise _unusable(folder, f"its weights are {path.name}; save them as safetensors")
    if path.suffix == ".safetensors":
        _check_safetensors(folder, path)


def choose_weights(folder: Path) -> Path | None:
    """The file that open_clip will take the weights from; None where there is none."""
    found = sorted(path for suffix in _SUFFIXES for path in folder.glob(f"*{suffix}") if path.is_file())
    usual = sorted((p for p in found if p.name in WEIGHT_FILES), key=lambda p: WEIGHT_FILES.index(p.name))
    others = sorted(found, key=lambda path: path.suffix != ".safetensors")
    return next(iter(usual or others), None)


def _check_safetensors(folder: Path, path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy"):  # reads the header, and that the file is as long as it says
            pass
    except (SafetensorError, OSError) as exc:
        raise _unusable(folder, f"{path.name} is damaged or cut short ({exc})") from exc


def _unusable(folder: Path, reason: str) -> ModelNotAvailable:
    return ModelNotAvailable(
        f"The image model in {folder} cannot be used: {reason}.",
        advice="Give local-dir:FOLDER with a complete open_clip model, or use small-clip.",
    )
