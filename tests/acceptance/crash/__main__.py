"""Run the campaign: `python -m tests.acceptance.crash --kills 120 [--seed N] [--record]`."""

from __future__ import annotations

import argparse
import random
import sys
import time

from benchmarks.__main__ import RESULTS, record
from benchmarks.machine import machine_line
from tests.acceptance.crash.campaign import Campaign, Tally
from tests.acceptance.crash.operations import OPERATIONS

_HEADS = (
    "operation",
    "killed",
    "kills",
    "old state",
    "new state",
    "client went on",
    "embedded",
    "twice",
    "back in",
)


def main() -> int:
    """Kill, print the table, record it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--only", choices=list(OPERATIONS), action="append", help="kill these operations alone"
    )
    parser.add_argument("--record", action="store_true", help=f"append the table to {RESULTS.name}")
    options = parser.parse_args()
    machine = machine_line()
    print(f"{machine}\nseed {options.seed}", flush=True)
    campaign = Campaign(options.seed, names=tuple(options.only or OPERATIONS))
    started = time.monotonic()
    try:
        campaign.run(options.kills)
    finally:
        print(make_table(campaign))
    seconds = time.monotonic() - started
    text = (
        f"{campaign.kills} kills, 0 failures, {campaign.missed} operations ended before their kill, "
        f"{seconds:.0f} s, seed {options.seed}"
    )
    print(text)
    if options.record:
        record(machine, f"Crash campaign: {text}.\n\n{make_table(campaign)}", quick=False)
    return 0


def make_table(campaign: Campaign) -> str:
    """What the kills led to, as a Markdown table."""
    lines = [" | ".join(_HEADS), " | ".join(["---", "---", *["---:"] * (len(_HEADS) - 2)])]
    total = Tally()
    for (operation, target), tally in sorted(campaign.tallies.items()):
        lines.append(_row(operation, target, tally))
        for name, value in vars(tally).items():
            setattr(
                total,
                name,
                max(total.recovery, value) if name == "recovery" else getattr(total, name) + value,
            )
    lines.append(_row("all", "all", total))
    return "\n".join(f"| {line} |" for line in lines)


def _row(operation: str, target: str, tally: Tally) -> str:
    went_on = "-" if target == "client" else str(tally.completed)
    counts = [tally.kills, tally.old, tally.new, went_on, tally.embedded, tally.twice]
    return " | ".join([operation, target, *map(str, counts), f"{tally.recovery:.1f} s"])


if __name__ == "__main__":
    sys.exit(main())
