"""Run the campaign: `python -m tests.acceptance.fuzz --mutants 5000 [--seed N] [--fixtures GLOB]`."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.__main__ import RESULTS, record
from benchmarks.database import fresh_database
from benchmarks.machine import machine_line
from tests.acceptance.fuzz.campaign import MEMORY_MB, TIMEOUT_S, Campaign
from tests.acceptance.fuzz.findings import make_findings, make_table
from tests.acceptance.fuzz.mutants import load_origins, make_mutant

_SCANS = ("scan", "mixed", "stamped")


def main() -> int:
    """Damage, ingest, judge, print; 1 where a promise was broken."""
    options = _parse()
    origins = load_origins(options.fixtures)
    numbers = options.only or range(options.first, options.first + options.mutants)
    if options.write:
        return _write(options.write, options.seed, numbers, origins)
    logging.basicConfig(level=logging.ERROR)  # not a line for each rejection
    machine = machine_line()
    print(f"{machine}\nseed {options.seed}, {len(origins)} files", flush=True)
    base = options.folder or Path(tempfile.mkdtemp(prefix="revector-fuzz-"))
    base.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with fresh_database() as url:
        campaign = Campaign(url, options.seed, origins, base, options.batch)
        try:
            campaign.run(numbers)
            campaign.run(_scans(options.ocr, origins, numbers), ocr=True)
        finally:
            print(f"{make_table(campaign)}\n\n{make_findings(campaign)}")
    text = (
        f"{campaign.mutants} mutants of {len(origins)} files, {len(campaign.failures)} failures, "
        f"{time.monotonic() - started:.0f} s, seed {options.seed}, "
        f"limits {TIMEOUT_S} s and {MEMORY_MB} MB"
    )
    print(text)
    if options.record:
        record(machine, f"Fuzz campaign: {text}.\n\n{make_table(campaign)}", quick=False)
    return 1 if campaign.failures else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.fuzz", description=__doc__)
    parser.add_argument("--mutants", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--fixtures", default="*", help="only files whose name matches")
    parser.add_argument("--ocr", type=int, default=40, help="mutants of scans that are read by OCR as well")
    parser.add_argument("--batch", type=int, default=300, help="files of one ingest")
    parser.add_argument("--folder", type=Path, help="where batches that fail are left")
    parser.add_argument("--only", type=int, nargs="+", help="just these numbers")
    parser.add_argument("--write", type=Path, help="write the mutants to this folder instead")
    parser.add_argument("--record", action="store_true", help=f"append the table to {RESULTS.name}")
    return parser.parse_args()


def _scans(count: int, origins: dict[str, bytes], numbers: Sequence[int]) -> list[int]:
    names = list(origins)
    return [n for n in numbers if names[n % len(names)].startswith(_SCANS)][:count]


def _write(folder: Path, seed: int, numbers: Sequence[int], origins: dict[str, bytes]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        mutant = make_mutant(seed, number, origins)
        (folder / mutant.name).write_bytes(mutant.data)
        print(f"{folder / mutant.name}: {mutant.how}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
