"""A short crash campaign; `make nightly` runs a long one."""

from __future__ import annotations

from tests.acceptance.crash.campaign import Campaign
from tests.acceptance.crash.killing import TARGETS
from tests.acceptance.crash.operations import OPERATIONS

KILLS = 6


def test_killed_operations_leave_the_old_or_the_new_state_and_can_be_repeated():
    campaign = Campaign(seed=3)
    campaign.run(KILLS)
    assert campaign.kills == KILLS
    assert {name for name, _ in campaign.tallies} == set(OPERATIONS)
    assert {target for _, target in campaign.tallies} == set(TARGETS)
