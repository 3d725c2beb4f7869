"""Text vectors from an OpenAI-compatible endpoint: text-embeddings-inference, vLLM, infinity, OpenAI."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from math import inf

import numpy as np
from tokenizers import Tokenizer

from schemas.errors import EmbeddingFailed, SpaceMismatch
from tasks.embedding.base import MIN_COSINE, Progress, Vectors, check_vectors, lowest_cosine
from tasks.embedding.endpoint_card import EndpointCard
from tasks.embedding.endpoint_client import (
    ATTEMPTS,
    LONG,
    LONGEST_PAUSE_S,
    EndpointClient,
    Patience,
    TooLarge,
    Waiting,
)

_QUERY_ATTEMPTS = 2
_FEWEST = 8
"""Texts of a request that is made smaller so that all connections have one."""
# Meanings so far apart that no two vectors could be taken for each other, and few tokens, which may be paid
# for. Other texts are other probes: what is stored of a space could not be compared any more.
_PROBES = (
    "환불 규정",
    "Storks nest on chimneys and leave for the south in August.",
    "def area(radius): return 3.14159 * radius ** 2",
    "연차 휴가는 입사 일 년 뒤부터 주어진다.",
    "2024-01-31; 1,250.00; 98.6; 404",
    "Tighten the four bolts crosswise before the engine is started again.",
    "바다",
    "Whose signature does a lease need?",
)


class EndpointEmbedder:
    """Asks an endpoint, several batches at a time. Not safe to share between threads.

    It is probed as any model, `reference` and `settle` raise as `embed`. There is no library to compare with:
    the vectors of texts that are asked for alone, which no order can mix up, stand for its own.

    Raises:
        ConfigurationError: the file with the key cannot be read.
    """

    def __init__(self, card: EndpointCard, *, waiting: Waiting | None = None) -> None:
        self.name = card.name
        self.revision = card.revision
        self.dim = card.dim
        self._card = card
        self._most = card.endpoint.batch
        self._client = EndpointClient(card, waiting=waiting)
        weakref.finalize(self, self._client.close)  # an embedder has no end of its own

    def embed(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Vectors of documents; see TextEmbedder.

        Raises:
            EmbeddingFailed: an answer cannot be used; nothing of the call is.
            EndpointUnavailable: the endpoint does not answer.
            ModelNotAvailable: it refuses the key, or does not know the model.
        """
        prepared = [self._card.document_prompt + text.strip() for text in texts]
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start, found in self._gather(prepared):
            vectors[start : start + len(found)] = found
            if progress is not None:
                progress(len(found))
        return check_vectors(vectors)

    def embed_query(self, text: str) -> Vectors:
        """The vector of a query; see TextEmbedder. Raises as `embed`; the card says how long it may take."""
        patience = Patience(_QUERY_ATTEMPTS, self._card.patience_s)
        prepared = [self._card.query_prompt + text.strip()]
        return np.asarray(self._ask(prepared, threading.Event(), patience)[0])

    @property
    def probes(self) -> bytes:
        """See ProbedEmbedder."""
        return hashlib.sha256("\0".join(_PROBES).encode()).digest()

    def reference(self) -> Vectors:
        """See ProbedEmbedder; each text is a request of its own."""
        return np.concatenate([self._ask_probes([text]) for text in _PROBES])

    def settle(self, expected: Vectors) -> float:
        """See ProbedEmbedder; the texts are one request, if a batch may be so large. There are no formats."""
        return lowest_cosine(self._ask_probes(_PROBES), expected)

    def explain_first(self, cosine: float) -> EmbeddingFailed:
        """See ServedEmbedder."""
        name = self._card.endpoint_name
        return EmbeddingFailed(
            f"The endpoint {name!r} ({self._card.endpoint.url}) gives other vectors for the same texts alone "
            f"than together (cosine {cosine:.4f}, at least {MIN_COSINE} is needed): its answers are not in "
            "the order of the texts, or it is not deterministic. Nothing was written.",
            advice=f"Check the server. With batch = 1 in [endpoints.{name}] it is asked for each text alone: "
            "that helps if only the order is wrong.",
            endpoint=name,
            cosine=cosine,
        )

    def explain_later(self, cosine: float) -> SpaceMismatch:
        """See ServedEmbedder."""
        name = self._card.endpoint_name
        return SpaceMismatch(
            f"The endpoint {name!r} ({self._card.endpoint.url}) gives other vectors than those of the "
            f"collection (cosine {cosine:.4f}, at least {MIN_COSINE} is needed): another model is behind the "
            "address, or its answers are no longer in the order of the texts. Nothing was written.",
            advice="Put the model back. To stay with the new one, describe it in a section [endpoints.NAME] "
            "with a `revision` of its own, name that as `next`, and run `revector reembed`.",
            endpoint=name,
            cosine=cosine,
        )

    def _ask_probes(self, texts: Sequence[str]) -> Vectors:
        """As documents are asked for, but no longer than a query may take where somebody waits for it."""
        seconds = self._card.patience_s
        patience = LONG if seconds == inf else Patience(_QUERY_ATTEMPTS, seconds)
        prepared = [self._card.document_prompt + text for text in texts]
        return self._ask(prepared, threading.Event(), patience)

    def _gather(self, texts: list[str]) -> Iterator[tuple[int, Vectors]]:
        """Where a batch begins, and its vectors, as they come; the first error ends all."""
        stop = threading.Event()
        size = self._size(len(texts))
        asked = self._client.asked
        pool = ThreadPoolExecutor(self._card.endpoint.concurrency, thread_name_prefix="endpoint")
        waiting: dict[Future[Vectors], int] = {
            pool.submit(self._ask, texts[start : start + size], stop): start
            for start in range(0, len(texts), size)
        }
        try:
            while waiting:
                done, _ = wait(waiting, timeout=self._longest, return_when=FIRST_COMPLETED)
                if not done:
                    raise self._client.give_up(self._longest, asked=self._client.asked - asked)
                asked = self._client.asked
                for future in sorted(done, key=waiting.__getitem__):
                    yield waiting.pop(future), future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            self._client.hang_up()  # what is still in flight would keep the process from ending
            pool.shutdown(wait=not waiting)

    def _size(self, count: int) -> int:
        """Texts of a request: few enough that all connections have one, as the server batches itself."""
        endpoint = self._card.endpoint
        if endpoint.requests_per_minute:
            return self._most
        return min(self._most, max(_FEWEST, -(-count // endpoint.concurrency)))

    @property
    def _longest(self) -> float:
        """Seconds without any vectors after which the endpoint is given up, whatever it sends meanwhile."""
        endpoint = self._card.endpoint
        turn = 60 * endpoint.concurrency / endpoint.requests_per_minute if endpoint.requests_per_minute else 0
        return ATTEMPTS * (endpoint.timeout_s + turn) + LONGEST_PAUSE_S

    def _ask(self, texts: list[str], stop: threading.Event, patience: Patience = LONG) -> Vectors:
        """The vectors of texts; halved until the endpoint takes them, which the next calls profit by."""
        if len(texts) <= self._most:
            try:
                return self._client.ask(texts, stop, patience=patience)
            except TooLarge as exc:
                if len(texts) == 1:
                    return self._ask_shorter(texts[0], stop, patience, reason=str(exc))
                self._most = min(self._most, (len(texts) + 1) // 2)
        half = (len(texts) + 1) // 2
        halves = (texts[:half], texts[half:])
        return np.concatenate([self._ask(part, stop, patience) for part in halves])

    def _ask_shorter(self, text: str, stop: threading.Event, patience: Patience, *, reason: str) -> Vectors:
        """What exceeds the model's limit is not seen: servers differ in whether they cut it off."""
        shorter = cut_text(text, self._card)
        if shorter == text:
            raise self._client.refuse(reason)
        try:
            return self._client.ask([shorter], stop, patience=patience)
        except TooLarge as exc:
            raise self._client.refuse(str(exc)) from exc


def cut_text(text: str, card: EndpointCard) -> str:
    """The text as far as the model reads it, by the tokenizer of its card; the prompt is part of the text."""
    path = card.path / "tokenizer.json"
    if not path.is_file():  # only a vocabulary: counting can convert it, the places of tokens are not had
        return text
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    room = card.endpoint.max_tokens - int(tokenizer.num_special_tokens_to_add(False))
    encoded = tokenizer.encode(text, add_special_tokens=False)
    return text if len(encoded.ids) <= room else text[: encoded.offsets[room - 1][1]]
