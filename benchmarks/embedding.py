"""Our embedding path against those that people use, on the same chunks of real documents.

All run in turns in one process, so that a busy machine slows all of them: read the ratios.
LangChain's row needs `langchain-huggingface`, which is no dependency: where it lies in a folder of its own
(`pip install --target FOLDER langchain-huggingface`), name that one in PYTHONPATH.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Row, alternate, median_ratio
from benchmarks.texts import chunk_documents, has_module
from tasks.embedding.batching import padding_share, plan_batches
from tasks.embedding.card import DEFAULT_TEXT_MODEL, resolve_model
from tasks.embedding.text import SentenceTransformerEmbedder, load_text_embedder

BATCH = 32
Embed = Callable[[], Any]


def run(quick: bool = False) -> list[Row]:
    """Texts and documents a second of each, and what share of the tokens it computes is padding."""
    texts, documents = _at_most(chunk_documents(20 if quick else 200), 100 if quick else 600)
    card = resolve_model(DEFAULT_TEXT_MODEL)
    embedder = load_text_embedder(card)
    results: dict[str, NDArray[np.float32]] = {}
    sides = _sides(str(card.path), embedder, texts, documents, results)
    seconds = alternate(sides, rounds=2 if quick else 3)
    batches = _batches(embedder, texts, documents)
    lengths = embedder.prepare(texts).lengths
    rows = []
    for name in list(sides)[1:]:
        cosine = float((results["ours"] * results[name]).sum(axis=1).min())
        rows.append(
            Row(
                name=f"embed {len(texts):,} chunks of {len(documents)} documents: {name}",
                ours=_rate(texts, documents, seconds["ours"]),
                baseline=_rate(texts, documents, seconds[name]),
                ratio=1 / median_ratio(seconds["ours"], seconds[name]),
                meaning=f"our batching ({embedder.dtype}, {embedder.budget.tokens:,} tokens) / {name}; "
                f"higher is better; padding {padding_share(lengths, batches['ours']):.1%} against "
                f"{padding_share(lengths, batches[name]):.1%} of the tokens; least cosine {cosine:.4f}",
            )
        )
    return rows


def _at_most(documents: list[list[str]], most: int) -> tuple[list[str], list[list[str]]]:
    """Whole documents with about so many chunks together."""
    taken: list[list[str]] = []
    for chunks in documents:
        if sum(map(len, taken)) >= most:
            break
        taken.append(chunks)
    return [text for chunks in taken for text in chunks], taken


def _sides(
    path: str,
    embedder: SentenceTransformerEmbedder,
    texts: list[str],
    documents: list[list[str]],
    results: dict[str, NDArray[np.float32]],
) -> dict[str, Embed]:
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(path, device=embedder.device, local_files_only=True)
    options = {"batch_size": BATCH, "normalize_embeddings": True, "show_progress_bar": False}
    calls: dict[str, Embed] = {
        "ours": lambda: embedder.embed(texts),
        "encode, batch 32": lambda: plain.encode(texts, **options),
        "encode, a call a document": lambda: np.concatenate(
            [plain.encode(part, **options) for part in documents]
        ),
    }
    if has_module("langchain_huggingface"):
        calls["LangChain embed_documents"] = _langchain(path, embedder.device, texts)
    else:
        print("langchain-huggingface is not installed: its row is left out", file=sys.stderr)

    def kept(name: str, call: Embed) -> Embed:
        def keep() -> None:
            results[name] = np.asarray(call(), dtype=np.float32)

        return keep

    return {name: kept(name, call) for name, call in calls.items()}


def _langchain(path: str, device: str, texts: list[str]) -> Embed:
    from langchain_huggingface import HuggingFaceEmbeddings

    model = HuggingFaceEmbeddings(
        model_name=path,
        model_kwargs={"device": device, "local_files_only": True},
        encode_kwargs={"normalize_embeddings": True},
    )
    return lambda: model.embed_documents(texts)


def _batches(
    embedder: SentenceTransformerEmbedder, texts: list[str], documents: list[list[str]]
) -> dict[str, list[NDArray[np.int64]]]:
    """The batches of each: ours by tokens, the library's by characters, longest first."""
    lengths = embedder.prepare(texts).lengths
    by_characters = np.argsort([-len(text) for text in texts], kind="stable")
    whole = list(_split(by_characters))
    single: list[NDArray[np.int64]] = []
    first = 0
    for chunks in documents:
        order = np.argsort([-len(text) for text in chunks], kind="stable") + first
        single += list(_split(order))
        first += len(chunks)
    return {
        "ours": list(plan_batches(lengths, embedder.budget, most=128)),
        "encode, batch 32": whole,
        "encode, a call a document": single,
        "LangChain embed_documents": whole,
    }


def _split(order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def _rate(texts: list[str], documents: list[list[str]], seconds: list[float]) -> str:
    median = float(np.median(seconds))
    return f"{len(texts) / median:,.1f} texts/s, {len(documents) / median:,.1f} documents/s"
