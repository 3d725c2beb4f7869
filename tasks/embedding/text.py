"""Text vectors by sentence-transformers models, batched by real token counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import EmbeddingFailed, ModelNotAvailable
from tasks.embedding.base import MIN_COSINE, Progress, Vectors, check_vectors, lowest_cosine
from tasks.embedding.batching import TokenBudget, run_blocks
from tasks.embedding.card import ModelCard, require_unchanged
from tasks.embedding.hub import DAMAGED, offline
from tasks.embedding.tokenizing import TextTokenizer, TokenWindow

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

_WINDOW = 4096
"""Texts tokenized together, where nobody else does it ahead."""
_BLOCK = 128
# Lengths and scripts of real chunks: rounding errors grow with both. Other texts are other probes: what is
# stored of a space could not be compared any more.
_PROBES = (
    "환불 규정",
    "How do I reset my password?",
    "계약을 해지하려는 고객은 해지 희망일로부터 영업일 기준 5일 전까지 서면으로 알려야 하며, "
    "위약금은 남은 약정 기간과 이미 제공된 할인 금액을 기준으로 계산한다. " * 4,
    "The controller retries a failed write three times with exponential backoff, then marks "
    "the volume as degraded and pages the operator on call (see section 4.2). " * 8,
)


class SentenceTransformerEmbedder:
    """A loaded model. Not safe to share between threads, but for `prepare`.

    Its first vectors settle the number format: against those that are stored of its space
    (`tasks.embedding.probing`), or else against the library's own of this very model.

    Attributes:
        budget: padded tokens of a batch; lower once the device ran out of memory.
    """

    def __init__(
        self,
        card: ModelCard,
        model: SentenceTransformer,
        budget: TokenBudget,
        *,
        half: str | None = None,
        compiled: bool = False,
    ) -> None:
        from tasks.embedding.device import choose_block

        self.name = card.name
        self.revision = card.revision
        self.dim = card.dim
        self.budget = budget
        self.block_chunks = choose_block(str(model.device))
        self._card = card
        self._half = half
        self._compiled = compiled
        self._model = model
        self._tokens = TextTokenizer(model[0].tokenizer)
        self._is_settled = False

    @property
    def device(self) -> str:
        """Where the model runs."""
        return str(self._model.device)

    @property
    def dtype(self) -> str:
        """Number format of the transformer's weights, float32 until settled; pooling is always float32."""
        return str(next(self._model[0].parameters()).dtype).removeprefix("torch.")

    @property
    def probes(self) -> bytes:
        """See ProbedEmbedder."""
        return hashlib.sha256("\0".join(_PROBES).encode()).digest()

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Vectors of documents; see TextEmbedder."""
        return self._embed(texts, self._card.document_prompt, progress)

    def embed_query(self, text: str) -> Vectors:
        """The vector of a query; see TextEmbedder."""
        return np.asarray(self._embed([text], self._card.query_prompt, None)[0])

    def prepare(self, texts: Sequence[str]) -> TokenWindow:
        """See StreamingEmbedder."""
        return self._tokens.tokenize(texts, self._card.document_prompt)

    def stream(self, prepared: TokenWindow, *, most: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """See StreamingEmbedder."""
        if not self._is_settled:
            self._settle_alone()
        yield from self._stream(prepared, most)

    def reference(self) -> Vectors:
        """See ProbedEmbedder."""
        model = self._load_again() if self._is_settled else self._model
        vectors = model.encode(
            list(_PROBES),
            prompt=self._card.document_prompt,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)

    def settle(self, expected: Vectors) -> float:
        """See ProbedEmbedder."""
        if not self._is_settled:
            self._is_settled = True
            self._prepare_network(self._half)
        if self.dtype != "float32":
            if (cosine := self._probe_cosine(expected)) >= MIN_COSINE:
                return cosine
            self._model = self._load_again()
            self._prepare_network(None)
        cosine = self._probe_cosine(expected)
        self._is_settled = cosine >= MIN_COSINE
        return cosine

    def _load_again(self) -> SentenceTransformer:
        model = _load_model(self._card, self.device)
        require_unchanged(self._card)
        return model

    def _settle_alone(self) -> None:
        if (cosine := self.settle(self.reference())) < MIN_COSINE:
            raise EmbeddingFailed(
                f"The model {self.name} gives other vectors than its library (cosine {cosine:.4f}).",
                advice="This kind of model is not supported; use another one.",
            )

    def _prepare_network(self, half: str | None) -> None:
        import torch

        from tasks.embedding.device import choose_attention

        network: Any = self._model[0]
        if half is not None:
            network.to(getattr(torch, half))
            if (attention := choose_attention(self.device, half)) is not None:
                network.model.set_attn_implementation(attention)
        if self._compiled:
            network.model.forward = torch.compile(network.model.forward, dynamic=True)

    def _probe_cosine(self, expected: Vectors) -> float:
        """Lowest cosine over the probes; 0 where the model gives no usable vectors."""
        try:
            return lowest_cosine(self.embed(_PROBES), expected)
        except EmbeddingFailed:
            return 0.0

    def _embed(self, texts: Sequence[str], prompt: str, progress: Progress | None) -> Vectors:
        if not self._is_settled:
            self._settle_alone()
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _WINDOW):
            window = self._tokens.tokenize(texts[start : start + _WINDOW], prompt)
            for rows, block in self._stream(window, self.block_chunks or _BLOCK):
                vectors[start + rows] = block
                if progress is not None:
                    progress(len(rows))
        return vectors

    def _stream(self, window: TokenWindow, most: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        import torch

        from tasks.embedding.device import is_out_of_memory, release_memory

        def is_full(error: BaseException) -> bool:
            full = is_out_of_memory(error)
            if full:
                release_memory(self.device)
            return full

        blocks = run_blocks(
            window.lengths, self.budget, lambda rows: self._forward(window, rows), is_full, most=most
        )
        for rows, results in blocks:  # asking for the values waits for the device: once a block
            yield rows, check_vectors(torch.cat(results).cpu().numpy())

    def _forward(self, window: TokenWindow, rows: NDArray[np.int64]) -> Tensor:
        """(B, D) float32 on the device, which may still be at work on it."""
        import torch

        from tasks.embedding.device import to_device

        ids, mask = window.pad(rows, self._tokens.pad_id, left=self._tokens.pads_left)
        with torch.inference_mode():
            features = {
                "input_ids": to_device(ids, self.device),
                "attention_mask": to_device(mask, self.device),
            }
            if self._tokens.has_type_ids:
                features["token_type_ids"] = torch.zeros_like(features["input_ids"])
            for index, module in enumerate(self._model):
                features = module(features)
                if index == 0:
                    features["token_embeddings"] = features["token_embeddings"].float()
            return torch.nn.functional.normalize(features["sentence_embedding"].float(), dim=1)[:, : self.dim]


def load_text_embedder(
    card: ModelCard,
    *,
    device: str = "auto",
    precision: str = "auto",
    budget_tokens: int | None = None,
    compile: bool = False,
) -> SentenceTransformerEmbedder:
    """Load a model from its folder, without any network.

    Args:
        card: from resolve_model.
        device: ``auto`` (cuda, mps, cpu) or a torch device. Several GPUs are one process each.
        precision: ``float32``, ``bfloat16`` or ``auto``: 16-bit weights where the device computes
            in them and a probe set keeps a cosine of 0.999 to float32.
        budget_tokens: padded tokens of a batch; None means what suits the device.
        compile: let torch.compile work on the transformer: its first batches take minutes.

    Raises:
        ModelNotAvailable: the folder cannot be loaded.
        EmbeddingFailed: by the first vectors, where our path does not give the library's.
    """
    from tasks.embedding.device import choose_budget, choose_device, choose_half, set_threads

    set_threads()
    device = choose_device(device)
    half = {"float32": None, "bfloat16": "bfloat16", "auto": choose_half(device)}[precision]
    budget = TokenBudget(budget_tokens or choose_budget(device))
    return SentenceTransformerEmbedder(card, _load_model(card, device), budget, half=half, compiled=compile)


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
                f"The model in {card.path} cannot be loaded: {str(exc).rstrip('. ')}.",
                advice="Download it again, or use the default all-MiniLM-L6-v2.",
            ) from exc
    _own_weights(model)
    return model.eval()


def _own_weights(model: SentenceTransformer) -> None:
    """Copy weights out of the file's mapping: written over in place, the file would change a loaded model.

    A tensor does not say whether it is mapped. One after the other: no more than one is there twice.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu":  # others were copied to their device
            tensor.data = tensor.data.clone()
