"""Builds tiny CLIP models with random weights, in the format that open_clip reads from a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

Tower = Literal["convolutions", "transformer"]

_TOWERS: dict[Tower, dict[str, Any]] = {
    "convolutions": {"timm_model_name": "test_efficientnet", "timm_pool": "avg", "timm_proj": "linear"},
    "transformer": {"layers": 2, "width": 64, "head_width": 16, "patch_size": 16},
}
DIM = 32


def build_tiny_clip(
    folder: Path,
    *,
    tower: Tower = "convolutions",
    image_size: int = 64,
    seed: int = 0,
    preprocess: dict[str, Any] | None = None,
) -> Path:
    """Write a model of vectors of 32 numbers; the same seed gives the same bytes.

    Args:
        folder: made where it is missing.
        tower: kind of the image tower.
        image_size: side in pixels of what the model sees.
        seed: of the random weights.
        preprocess: `preprocess_cfg` of the configuration.
    """
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    model_cfg = {
        "embed_dim": DIM,
        "vision_cfg": {"image_size": image_size, **_TOWERS[tower]},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess or {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder
