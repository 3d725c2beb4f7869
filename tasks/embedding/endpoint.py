"""Text vectors from an OpenAI-compatible endpoint: text-embeddings-inference, vLLM, infinity, OpenAI."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import numpy as np
from tokenizers import Tokenizer

from tasks.embedding.base import Progress, Vectors, check_vectors
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


class EndpointEmbedder:
    """Asks an endpoint, several batches at a time. Not safe to share between threads.

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
