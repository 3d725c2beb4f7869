import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import EmbeddingFailed
from tasks.embedding.batching import TokenBudget, padding_share, plan_batches, run_blocks


@given(st.lists(st.integers(0, 600), max_size=80), st.integers(1, 2048))
def test_every_text_is_in_one_batch_and_batches_keep_the_budget(lengths, tokens):
    batches = list(plan_batches(lengths, TokenBudget(tokens)))
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= tokens


def test_equal_lengths_share_batches_so_padding_is_small():
    lengths = [10, 250] * 100
    assert padding_share(lengths, list(plan_batches(lengths, TokenBudget(2048)))) < 0.05
    assert padding_share(lengths, [np.arange(200)]) == pytest.approx(0.48)


class Device:
    """Takes batches up to a number of padded tokens."""

    def __init__(self, lengths: list[int], room: int) -> None:
        self.lengths, self.room, self.failures = lengths, room, 0

    def embed(self, batch: np.ndarray) -> list[int]:
        if len(batch) * max(self.lengths[i] for i in batch) > self.room:
            self.failures += 1
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return [self.lengths[i] for i in batch]


def is_full(error: BaseException) -> bool:
    return "memory" in str(error)


def test_batch_that_does_not_fit_is_halved_and_the_size_remembered():
    lengths = [100] * 64
    device, budget = Device(lengths, 850), TokenBudget(3200)
    results = list(run_blocks(lengths, budget, device.embed, is_full, most=64))
    assert sorted(i for rows, _ in results for i in rows.tolist()) == list(range(64))
    assert budget.tokens == 800
    assert device.failures == 3, "two halvings, and the half that was already waiting"


def test_single_text_that_does_not_fit_is_reported():
    with pytest.raises(EmbeddingFailed, match="600 tokens"):
        list(run_blocks([600], TokenBudget(2048), Device([600], 500).embed, is_full, most=8))


def test_other_errors_are_not_taken_for_memory():
    def broken(batch: np.ndarray) -> list[int]:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(run_blocks([1], TokenBudget(10), broken, is_full, most=8))


@given(
    st.lists(st.integers(0, 600), max_size=80), st.integers(1, 4096), st.integers(1, 20), st.integers(0, 9)
)
def test_no_more_than_a_block_is_embedded_and_not_handed_over(lengths, tokens, most, room):
    """Whatever the budget, and also where memory runs out on the way."""
    waiting: list[int] = []

    def embed(batch: np.ndarray) -> np.ndarray:
        if room and len(batch) > room:
            raise RuntimeError("not enough memory")
        waiting.extend(batch.tolist())
        assert len(waiting) <= most
        return batch

    handed: list[int] = []
    for rows, results in run_blocks(lengths, TokenBudget(tokens), embed, is_full, most=most):
        assert np.concatenate(results).tolist() == rows.tolist() == waiting
        handed += rows.tolist()
        waiting.clear()
    assert sorted(handed) == list(range(len(lengths)))
    assert waiting == []
