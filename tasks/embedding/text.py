"""Text vectors by sentence-transformers models, batched by real token counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import EmbeddingFailed, ModelNotAvailable
from tasks.embedding.base import Progress, Vectors, check_vectors
from tasks.embedding.batching import TokenBudget, run_batches
from tasks.embedding.card import ModelCard
from tasks.embedding.hub import DAMAGED, offline

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

_MIN_COSINE = 0.999
_TOKENIZE_AT_ONCE = 4096
# Lengths and scripts of real chunks: rounding errors grow with both.
_PROBES = (
    "환불 규정",
    "How do I reset my password?",
    "계약을 해지하려는 고객은 해지 희망일로부터 영업일 기준 5일 전까지 서면으로 알려야 하며, "
    "위약금은 남은 약정 기간과 이미 제공된 할인 금액을 기준으로 계산한다. " * 4,
    "The controller retries a failed write three times with exponential backoff, then marks "
    "the volume as degraded and pages the operator on call (see section 4.2). " * 8,
)


class SentenceTransformerEmbedder:
    """A loaded model. Not safe to share between threads."""

    def __init__(self, card: ModelCard, model: SentenceTransformer, budget: TokenBudget) -> None:
        from tokenizers import Tokenizer

        self.name = card.name
        self.revision = card.revision
        self.dim = card.dim
        self.budget = budget
        self._card = card
        self._model = model
        self._transformer = model[0]
        tokenizer: Any = self._transformer.tokenizer
        # Our own copy: the library changes truncation and padding of its one per call.
        self._tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(int(tokenizer.model_max_length))
        self._pad_id = int(tokenizer.pad_token_id or 0)
        self._pads_left = tokenizer.padding_side == "left"
        self._type_ids = "token_type_ids" in tokenizer.model_input_names

    @property
    def device(self) -> str:
        """Where the model runs."""
        return str(self._model.device)

    @property
    def dtype(self) -> str:
        """Number format of the transformer's weights; pooling is float32 in any case."""
        return str(next(self._transformer.parameters()).dtype).removeprefix("torch.")

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Vectors of documents; see TextEmbedder."""
        return self._embed(texts, self._card.document_prompt, progress)

    def embed_query(self, text: str) -> Vectors:
        """The vector of a query; see TextEmbedder."""
        return np.asarray(self._embed([text], self._card.query_prompt, None)[0])

    def _embed(self, texts: Sequence[str], prompt: str, progress: Progress | None) -> Vectors:
        from tasks.embedding.device import is_out_of_memory, release_memory

        def is_full(error: BaseException) -> bool:
            full = is_out_of_memory(error)
            if full:
                release_memory(self.device)
            return full

        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        ids = self._tokenize(texts, prompt)
        lengths = [len(row) for row in ids]
        batches = run_batches(
            lengths, self.budget, lambda batch: self._forward([ids[i] for i in batch]), is_full
        )
        for batch, result in batches:
            vectors[batch] = result
            if progress is not None:
                progress(len(batch))
        return check_vectors(vectors)

    def _tokenize(self, texts: Sequence[str], prompt: str) -> list[np.ndarray]:
        rows: list[np.ndarray] = []
        for start in range(0, len(texts), _TOKENIZE_AT_ONCE):
            batch = [prompt + text.strip() for text in texts[start : start + _TOKENIZE_AT_ONCE]]
            encoded = self._tokenizer.encode_batch_fast(batch)
            rows.extend(np.asarray(one.ids, dtype=np.int64) for one in encoded)
        return rows

    def _forward(self, ids: list[np.ndarray]) -> Vectors:
        import torch

        with torch.inference_mode():
            features = self._pad(ids)
            for index, module in enumerate(self._model):
                features = module(features)
                if index == 0:
                    features["token_embeddings"] = features["token_embeddings"].float()
            vectors = torch.nn.functional.normalize(features["sentence_embedding"].float(), dim=1)
            return vectors[:, : self.dim].cpu().numpy()

    def _pad(self, ids: list[np.ndarray]) -> dict[str, Tensor]:
        import torch

        shape = (len(ids), max(1, *map(len, ids)))
        tokens = np.full(shape, self._pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, one in enumerate(ids):
            place = slice(shape[1] - len(one), None) if self._pads_left else slice(len(one))
            tokens[row, place] = one
            mask[row, place] = 1
        features = {"input_ids": torch.from_numpy(tokens), "attention_mask": torch.from_numpy(mask)}
        if self._type_ids:
            features["token_type_ids"] = torch.zeros(shape, dtype=torch.int64)
        return {key: value.to(self._model.device) for key, value in features.items()}


def load_text_embedder(
    card: ModelCard,
    *,
    device: str = "auto",
    precision: str = "auto",
    budget_tokens: int | None = None,
) -> SentenceTransformerEmbedder:
    """Load a model from its folder, without any network.

    Args:
        card: from resolve_model.
        device: ``auto`` (cuda, mps, cpu) or a torch device.
        precision: ``float32``, ``bfloat16`` or ``auto``: bfloat16 weights where the
            device computes in them and a probe set keeps a cosine of 0.999 to float32.
        budget_tokens: padded tokens of a batch; None means what suits the device.

    Raises:
        ModelNotAvailable: the folder cannot be loaded.
        EmbeddingFailed: our path does not give the library's vectors for this model.
    """
    from tasks.embedding.device import choose_budget, choose_device, has_fast_bfloat16, set_threads

    set_threads()
    device = choose_device(device)
    wants_half = precision == "bfloat16" or (precision == "auto" and has_fast_bfloat16(device))
    model = _load_model(card, device)
    expected = np.asarray(
        model.encode(
            list(_PROBES),
            prompt=card.document_prompt,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
    )
    budget = TokenBudget(budget_tokens or choose_budget(device))
    if wants_half:
        model[0].bfloat16()
        embedder = SentenceTransformerEmbedder(card, model, budget)
        if _probe_cosine(embedder, expected) >= _MIN_COSINE:
            return embedder
        model = _load_model(card, device)
    embedder = SentenceTransformerEmbedder(card, model, budget)
    if (cosine := _probe_cosine(embedder, expected)) < _MIN_COSINE:
        raise EmbeddingFailed(
            f"The model {card.name} gives other vectors than its library (cosine {cosine:.4f}).",
            advice="This kind of model is not supported; use another one.",
        )
    return embedder


def _probe_cosine(embedder: SentenceTransformerEmbedder, expected: np.ndarray) -> float:
    """Lowest cosine over the probes; 0 where the model gives no usable vectors."""
    try:
        vectors = embedder.embed(_PROBES)
    except EmbeddingFailed:
        return 0.0
    return float((vectors * expected).sum(axis=1).min())


def _load_model(card: ModelCard, device: str) -> SentenceTransformer:
    with offline():
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            model = SentenceTransformer(
                str(card.path),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": "float32"},
            )
        except (*DAMAGED, SafetensorError) as exc:
            raise ModelNotAvailable(
                f"The model in {card.path} cannot be loaded: {exc}",
                advice="Download it again, or use the default all-MiniLM-L6-v2.",
            ) from exc
    return model.eval()
