"""Run the benchmarks: `python -m benchmarks [--quick] [--record] [NAME ...]`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.machine import machine_line
from benchmarks.measuring import Row

NAMES = (
    "planning",
    "writing",
    "memory",
    "search",
    "history",
    "embedding",
    "efficiency",
    "images",
    "duplicates",
    "election",
    "parsing",
    "hanging",
    "prototypes",
    "triggers",
)
RESULTS = Path(__file__).with_name("RESULTS.md")
_HEADS = ("benchmark", "ours", "baseline", "ratio", "what it means")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run those that were asked for, print the table; 1 where one of them failed."""
    options = _parse(arguments)
    machine = machine_line()
    print(machine, flush=True)
    rows: list[Row] = []
    failed = []
    for name in options.names or NAMES:
        started = time.perf_counter()
        try:
            rows += _load(name)(quick=options.quick)
            outcome = "done"
        except Exception as exc:  # the others are still worth their table
            failed.append(name)
            outcome = f"failed: {type(exc).__name__}: {exc}"
        print(f"{name}: {outcome} ({time.perf_counter() - started:.0f} s)", file=sys.stderr, flush=True)
    table = make_table(rows)
    print(f"\n{table}")
    if options.record and rows:
        record(machine, table, quick=options.quick)
    return 1 if failed else 0


def make_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [_HEADS, ("---", "---:", "---:", "---:", "---")]
    for row in rows:
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append((row["name"], row["ours"], row["baseline"], ratio, row["meaning"]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def record(machine: str, table: str, *, quick: bool) -> None:
    """Append a section to RESULTS.md."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Results\n"
    date, facts = machine.split(", ", 1)
    head = f"## {date}{' (quick)' if quick else ''}"
    RESULTS.write_text(f"{text}\n{head}\n\n{facts}\n\n{table}\n", encoding="utf-8")


def _load(name: str) -> Callable[..., Sequence[Row]]:
    function: Callable[..., Sequence[Row]] = importlib.import_module(f"benchmarks.{name}").run
    return function


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="less data: a minute, rougher numbers")
    parser.add_argument("--record", action="store_true", help=f"append the table to {RESULTS.name}")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
