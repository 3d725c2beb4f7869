"""Folders that look like text models: all files but weights that anybody would load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tasks.embedding.card import resolve_model


def make_model_folder(target: Path, *, dim: int = 384, max_tokens: int = 256) -> Path:
    """The default model's files under another name; vectors of `dim`, by a layer that is only declared."""
    source = resolve_model("all-MiniLM-L6-v2").path
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("model.safetensors", "*.md"))
    (target / "model.safetensors").write_bytes(target.name.encode() * 10)
    (target / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": max_tokens}))
    if dim != 384:
        modules = json.loads((target / "modules.json").read_text())
        dense = {"idx": 3, "name": "3", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
        (target / "modules.json").write_text(json.dumps([*modules, dense]))
        (target / "2_Dense").mkdir()
        layer = {"in_features": 384, "out_features": dim}
        (target / "2_Dense" / "config.json").write_text(json.dumps(layer))
    return target


def build_tiny_model(target: Path) -> Path:
    """A model that loads: the default one's files, and random weights for vectors of 32 numbers."""
    make_model_folder(target)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    for file, facts in (("config.json", sizes), ("1_Pooling/config.json", {"word_embedding_dimension": 32})):
        content = json.loads((target / file).read_text())
        (target / file).write_text(json.dumps(content | facts))
    (target / "model.safetensors").write_bytes(tiny_weights(target, seed=0))
    return target


def damage_weights(folder: Path) -> None:
    """Make one number of each tensor of a model no number; the file is as long as before."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    for tensor in tensors.values():
        if tensor.is_floating_point():
            tensor.view(-1)[0] = float("nan")
    save_file(tensors, folder / "model.safetensors")


def tiny_weights(folder: Path, *, seed: int) -> bytes:
    """The file of random weights for a tiny model; as long as that of any other seed."""
    import torch
    from safetensors.torch import save
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return save(BertModel(BertConfig.from_pretrained(folder)).state_dict())
