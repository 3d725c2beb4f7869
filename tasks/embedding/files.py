"""Reading a sentence-transformers folder: limits, dimension and prompts from its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import ModelNotAvailable
from tasks.chunking.tokens import TokenCounter

# Loaded in this order by sentence_transformers.base.modules.Transformer.
_LENGTH_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# RoBERTa-like models number positions from padding_idx + 1, so two of them carry no token.
_OFFSET_MODELS = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"}
_MODULES = {"Transformer", "Pooling", "Dense", "Normalize", "LayerNorm", "Dropout"}
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
# Of a model without tokenizer.json: [CLS] and [SEP]; T5-like models use one.
_USUAL_SPECIAL_TOKENS = 2


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Facts from a model's files; the fields are those of ModelCard."""

    dim: int
    max_tokens: int
    document_prompt: str
    query_prompt: str


def read_model_files(folder: Path) -> ModelFiles:
    """Read what a sentence-transformers folder says of its model.

    Raises:
        ModelNotAvailable: the folder is incomplete, is no sentence-transformers model, or
            needs code of its own.
    """
    modules = _read_modules(folder)
    transformer = folder / str(modules[0].get("path", ""))
    _check_weights(folder, transformer)
    options = _read_json(folder, "config_sentence_transformers.json", default={})
    document_prompt, query_prompt = _read_prompts(options)
    special, prompt_tokens = _count_overhead(transformer, document_prompt)
    return ModelFiles(
        dim=int(options.get("truncate_dim") or _read_dim(folder, modules, transformer)),
        max_tokens=_read_max_seq_length(transformer) - special - prompt_tokens,
        document_prompt=document_prompt,
        query_prompt=query_prompt,
    )


def _read_modules(folder: Path) -> list[dict[str, Any]]:
    modules = _read_json(folder, "modules.json", default=None)
    if not isinstance(modules, list) or not modules:
        raise _unusable(folder, "it has no modules.json, so it is no sentence-transformers model")
    modules = sorted(modules, key=lambda module: int(module.get("idx", 0)))
    kinds = [str(module.get("type", "")) for module in modules]
    for kind in kinds:
        if not kind.startswith("sentence_transformers.") or kind.split(".")[-1] not in _MODULES:
            raise _unusable(folder, f"its module {kind!r} is not supported (no model code is run)")
    if not kinds[0].endswith(".Transformer"):
        raise _unusable(folder, "its first module is not a text transformer")
    return modules


def _check_weights(folder: Path, transformer: Path) -> None:
    found = {path.name for p in _WEIGHTS for path in transformer.glob(p) if path.is_file()}
    if not found:
        raise _unusable(folder, "it has no weights (*.safetensors or pytorch_model.bin)")
    index = _read_json(transformer, "model.safetensors.index.json", default={})
    missing = set(index.get("weight_map", {}).values()) - found
    if missing:
        raise _unusable(folder, f"its weights are incomplete ({len(missing)} files missing)")


def _read_max_seq_length(transformer: Path) -> int:
    """The limit in tokens, special ones included."""
    config = _read_json(transformer, "config.json", default={})
    limits = []
    if positions := config.get("max_position_embeddings"):
        offset = 2 if config.get("model_type") in _OFFSET_MODELS else 0
        limits.append(int(positions) - offset)
    for name in _LENGTH_FILES:
        if length := _read_json(transformer, name, default={}).get("max_seq_length"):
            limits.append(int(length))
            break
    else:
        tokenizer = _read_json(transformer, "tokenizer_config.json", default={})
        limits.append(int(tokenizer.get("model_max_length", 10**9)))
    limits = [limit for limit in limits if 0 < limit < 10**6]
    if not limits:
        raise _unusable(transformer, "its files name no maximum length")
    return min(limits)


def _read_dim(folder: Path, modules: list[dict[str, Any]], transformer: Path) -> int:
    dim = int(_read_json(transformer, "config.json", default={}).get("hidden_size", 0))
    for module in modules[1:]:
        config = _read_json(folder / str(module.get("path", "")), "config.json", default={})
        kind = str(module["type"]).split(".")[-1]
        if kind == "Pooling":
            dim = _pooled_dim(config, dim)
        elif kind == "Dense":
            dim = int(config.get("out_features", dim))
    if dim < 1:
        raise _unusable(folder, "its files name no dimension")
    return dim


def _pooled_dim(config: dict[str, Any], hidden: int) -> int:
    width = int(config.get("embedding_dimension") or config.get("word_embedding_dimension", hidden))
    mode = config.get("pooling_mode")
    if mode is not None:
        return width * (1 if isinstance(mode, str) else len(mode))
    active = [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
    return width * max(1, len(active))


def _read_prompts(options: dict[str, Any]) -> tuple[str, str]:
    """Document and query prompt, chosen as encode_document and encode_query do."""
    prompts = {key: value or "" for key, value in (options.get("prompts") or {}).items()}
    default = prompts.get(str(options.get("default_prompt_name") or ""), "")
    document = next((prompts[key] for key in _DOCUMENT_PROMPTS if key in prompts), default)
    return document, prompts.get("query", default)


def _count_overhead(transformer: Path, prompt: str) -> tuple[int, int]:
    """Tokens that are not text: special ones and the document prompt's."""
    if not (transformer / "tokenizer.json").is_file():
        # Converting the vocabulary needs transformers, which resolving must not import;
        # one character per token is more than any prompt takes.
        return _USUAL_SPECIAL_TOKENS, len(prompt)
    counter = TokenCounter.for_model(transformer)
    return counter.special_tokens, counter.count([prompt])[0] if prompt else 0


def _read_json(folder: Path, name: str, *, default: Any) -> Any:
    path = folder / name
    if not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise _unusable(folder, f"{name} cannot be read ({exc})") from exc


def _unusable(folder: Path, reason: str) -> ModelNotAvailable:
    return ModelNotAvailable(
        f"The model in {folder} cannot be used: {reason}.",
        advice="Give the folder of a complete sentence-transformers model, or use the default.",
    )
