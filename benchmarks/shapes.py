"""Models of given shapes with random weights, made on the spot: speed does not depend on them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.embedding.card import DEFAULT_TEXT_MODEL, resolve_model


@dataclass(frozen=True, slots=True)
class TextShape:
    """A transformer encoder.

    Attributes:
        layers, width, inner, heads: of the transformer.
        vocabulary: rows of its table of words.
        tokens: that it reads at most.
    """

    layers: int
    width: int
    inner: int
    heads: int
    vocabulary: int
    tokens: int


XLM_R_LARGE = TextShape(layers=24, width=1024, inner=4096, heads=16, vocabulary=250_002, tokens=512)


def build_text_model(folder: Path, shape: TextShape) -> Path:
    """A sentence-transformers folder of that shape, with the default model's tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    source = resolve_model(DEFAULT_TEXT_MODEL).path
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("model.safetensors", "*.md"))
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.tokens,
    )
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    _edit(folder / "sentence_bert_config.json", {"max_seq_length": shape.tokens})
    _edit(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": shape.width})
    _edit(folder / "tokenizer_config.json", {"model_max_length": shape.tokens})
    return folder


def _edit(path: Path, changes: dict[str, Any]) -> None:
    facts = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(facts | changes))


def build_clip(folder: Path, name: str) -> Path:
    """An open_clip folder of a known architecture, such as ``ViT-B-32``."""
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def text_flops(layers: int, width: int, inner: int, lengths: list[int]) -> float:
    """Floating-point operations to embed texts of those lengths: the products of matrices, no padding.

    >>> text_flops(1, 2, 8, [1]) == 2 * (4 * 2 * 2 + 2 * 2 * 8) + 4 * 2
    True
    """
    weights = layers * (4 * width * width + 2 * width * inner)
    return float(sum(2 * weights * n + 4 * layers * width * n * n for n in lengths))


def vit_flops(layers: int, width: int, patches: int) -> float:
    """Floating-point operations of an image in a vision transformer whose inner width is 4 times its own."""
    return text_flops(layers, width, 4 * width, [patches + 1])
