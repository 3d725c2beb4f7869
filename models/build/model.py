"""The model's shape, the starting weights, and the folder it is written to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.build.augment import EDGE
from models.build.convert import TRUNK, load_classifier

if TYPE_CHECKING:
    from torch import nn

FOLDER = Path(__file__).resolve().parents[1] / "small_clip"
EMBED_DIM = 512
_CONFIG = "open_clip_config.json"
_WEIGHTS = "open_clip_model.safetensors"


def make_config() -> dict[str, Any]:
    """What open_clip's `local-dir:` reads."""
    return {
        "model_cfg": {
            "embed_dim": EMBED_DIM,
            "vision_cfg": {
                "timm_model_name": TRUNK,
                "timm_model_pretrained": False,
                "timm_pool": "",
                "timm_proj": "linear",
                "timm_proj_bias": True,
                "image_size": EDGE,
            },
            "text_cfg": {
                "context_length": 32,
                "vocab_size": 49408,
                "width": 128,
                "heads": 4,
                "layers": 2,
            },
        },
        "preprocess_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic",
            # a product fills its photo to the border: padding keeps it, a centre crop cuts it
            "resize_mode": "longest",
            "fill_color": 255,
        },
    }


def create_clip() -> nn.Module:
    """A CLIP of that shape: ImageNet weights in the trunk, the rest random; not on disk."""
    import open_clip
    import torch

    torch.manual_seed(0)
    clip = open_clip.CLIP(**make_config()["model_cfg"])
    weights = {k: v for k, v in load_classifier().state_dict().items() if not k.startswith("classifier")}
    clip.visual.trunk.load_state_dict(weights)
    return clip.eval()


def write_model(clip: nn.Module, folder: Path = FOLDER) -> None:
    """Configuration and weights, float16."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).write_text(json.dumps(make_config(), indent=2) + "\n", encoding="utf-8")
    tensors = {
        name: (tensor.to(torch.float16) if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in clip.state_dict().items()
    }
    save_file(tensors, folder / _WEIGHTS)
    (folder / _WEIGHTS).chmod(0o644)


def load_model(folder: Path = FOLDER) -> tuple[nn.Module, Any, Any]:
    """The model, its image transform and its tokenizer, as a user loads them."""
    import open_clip

    clip, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return clip.eval(), transform, open_clip.get_tokenizer(f"local-dir:{folder}")
