"""A small change of the model under load; `make nightly` plays a large one."""

from __future__ import annotations

from tests.acceptance.model_change import Campaign, Plan

SMALL = Plan(
    chunks=600, fill_kills=2, index_kills=0, switch_kills=2, index_from=300, store_chunks=16,
    before_s=2, after_s=2,
)  # fmt: skip


def test_a_model_is_changed_under_load_and_killed_without_a_failed_search_or_a_text_paid_twice():
    outcome = Campaign(SMALL).run()
    assert outcome.wrong == []
    assert dict(outcome.kills) == {"fill": 2, "switch": 2}
    assert outcome.searches["during"]["n"] > 10
    assert outcome.reembed["kept"] > 0
