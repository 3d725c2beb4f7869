"""A change of the model under load: killed -9 again and again, while one process writes and one searches.

    python -m tests.acceptance.model_change --chunks 50000

The index must serve all the time, each answer be of one model, nothing be embedded twice but for what a kill
costs, the switch take less than a second in both directions, and the end be what a fresh collection gives.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.checking import check
from flows.rollback import LAST, rollback_collection
from registry.collections import get_collection
from registry.releases import list_releases
from registry.runs import latest_runs
from tasks.embedding.card import resolve_model
from tasks.vectors import UNSTORED_STORES
from tests.acceptance.crash.processes import ROOT, Server, wait_for_orphans
from tests.acceptance.model_change_child import COLLECTION, ingest, make_text, open_campaign
from tests.model_folders import make_model_folder
from tests.waiting import until

CHILD = "tests.acceptance.model_change_child"
SENTENCES = 50
"""Chunks of a document, each a sentence."""
DEADLINE_S = 1800
SWITCH_STEPS = 8
"""Statements from the writing of the release to its COMMIT."""


@dataclass(frozen=True)
class Plan:
    """How large, and how often what is killed.

    Attributes:
        chunks: of the documents that stay as they are.
        fill_kills: while chunks are embedded.
        index_kills: while the index is built; the server builds on, so that there is no second time.
        switch_kills: between the writing of the release and its COMMIT.
        index_from: vectors from which on there is an index.
        store_chunks: vectors of one transaction.
        before_s, after_s: seconds that are searched before the change, and after it.
    """

    chunks: int = 50_000
    fill_kills: int = 5
    index_kills: int = 1
    switch_kills: int = 3
    index_from: int = 5_000
    store_chunks: int = 128
    before_s: float = 20
    after_s: float = 20
    seed: int = 7


@dataclass
class Outcome:
    """What came of it; `wrong` says what must not be."""

    kills: Counter[str] = field(default_factory=Counter)
    reembed: dict[str, Any] = field(default_factory=dict)
    embedded: dict[str, int] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)
    searches: dict[str, dict[str, Any]] = field(default_factory=dict)
    ingests: dict[str, dict[str, Any]] = field(default_factory=dict)
    rollbacks: list[float] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    releases: int = 0
    wrong: list[str] = field(default_factory=list)


class Campaign:
    """A folder, a server, three kinds of processes."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.base = Path(tempfile.mkdtemp(prefix="revector-change-"))
        self.base.chmod(0o711)  # the server's own user has to pass
        self.server = Server(self.base / "home")
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Play it; the folder stays where something failed."""
        try:
            self.server.start()
            self._prepare()
            with self._timed("all"), self._process("write") as writer, self._process("read") as reader:
                self._await_both(since=0)
                time.sleep(self.plan.before_s)
                began = time.monotonic()
                with self._timed("change"):
                    self._change()
                switched = time.monotonic()
                time.sleep(self.plan.after_s)
                self._await_both(since=switched)
                (self.base / "stop-writer").touch()
                self._require(writer.wait(DEADLINE_S) == 0, f"the writer ended with {writer.returncode}")
                self._roll_back_and_forth()
                (self.base / "stop-reader").touch()
                self._require(reader.wait(DEADLINE_S) == 0, f"the reader ended with {reader.returncode}")
            self._judge(began, switched)
        finally:
            self.server.stop()
        wait_for_orphans(self.base)
        if not self.outcome.wrong:
            shutil.rmtree(self.base)
        return self.outcome

    def _await_both(self, since: float) -> None:
        """Until the writer has ingested and the reader has searched after that moment."""
        logs = [self.base / "writer.jsonl", self.base / "reader.jsonl"]
        until(
            lambda: all(log.exists() and any(row["at"] > since for row in _read(log)[-1:]) for log in logs),
            "an ingest and a search", every_s=0.2, meanwhile=(json.JSONDecodeError,),
        )  # fmt: skip

    # --- the parts --------------------------------------------------------------------

    def _prepare(self) -> None:
        """Documents, two models, and a first release."""
        plan, asked = self.plan, []
        (self.base / "docs" / "edited").mkdir(parents=True)
        for number in range(max(1, plan.chunks // SENTENCES)):
            text = make_text(random.Random(f"{plan.seed} stays {number}"), SENTENCES)
            (self.base / "docs" / f"{number}.txt").write_text(text)
            asked.append(self.rng.choice(text.split("\n\n")))
        (self.base / "asked.txt").write_text("\n".join(asked))
        model = make_model_folder(self.base / "better")
        old, new = resolve_model("all-MiniLM-L6-v2"), resolve_model(str(model))
        chunking = {"max_tokens": 48, "min_tokens": 16}
        facts = {
            "settings": {
                "home": str(self.base / "home"),
                "collections": {
                    COLLECTION: {"next": {"model": str(model)}, "chunking": chunking},
                    "fresh": {"model": str(model), "chunking": chunking},
                },
            },
            "models": {"old": [old.name, old.revision, old.dim], "new": [new.name, new.revision, new.dim]},
            "edited": 40,
            "index_from": plan.index_from,
            "store_chunks": plan.store_chunks,
            "seed": plan.seed,
            "writer_pause": 0.2,
            "reader_pause": 0.01,
        }
        (self.base / "campaign.json").write_text(json.dumps(facts))
        with self._timed("first ingest"), open_campaign(self.base, "first") as (session, _):
            report = ingest(session, self.base)
        self._require(report.state == "succeeded", f"the first ingest: {report}")

    def _change(self) -> None:
        """Kill it at each kind of moment, then let it end."""
        plan, kills = self.plan, self.outcome.kills
        moments = ["fill"] * plan.fill_kills + ["index"] * plan.index_kills + ["switch"] * plan.switch_kills
        for moment in moments:
            order = {}
            if moment == "switch":
                order = {
                    "target": "client", "near": True, "when": "before",
                    "step": self.rng.randint(1, SWITCH_STEPS),
                }  # fmt: skip
            with self._process("reembed", json.dumps(order), stdout=subprocess.PIPE) as child:
                kills[self._await_kill(child, moment)] += 1
        with self._process("reembed", "{}", stdout=subprocess.PIPE) as child:
            for line in _lines(child, DEADLINE_S):
                self.outcome.reembed = line.get("report", {})
        self._require(bool(self.outcome.reembed), "the last reembed gave no report, see children.log")

    def _await_kill(self, child: subprocess.Popen[str], moment: str) -> str:
        """Kill the child at the moment, or see it die by itself; what was hit."""
        after = self.rng.uniform(0.02, 0.5)
        for line in _lines(child, DEADLINE_S, every=0.02):
            self._require("report" not in line, f"the change was over before its kill ({moment})")
            is_filling = line.get("stage") == "embed" and line["done"] >= max(1, after * line["total"])
            if (moment == "fill" and is_filling) or (moment == "index" and self._is_indexing()):
                time.sleep(self.rng.uniform(0, 0.3))
                child.kill()
                break
        child.wait()
        return moment

    def _is_indexing(self) -> bool:
        return bool(self.server.look("SELECT 1 FROM pg_stat_progress_create_index"))

    def _roll_back_and_forth(self) -> None:
        """To the release before the switch, and to what was shown; then once more, as `rollback --last`."""
        with open_campaign(self.base, "rollback") as (session, _):
            releases = list_releases(session.db, get_collection(session.db, COLLECTION).id)
            switch = next(one.number for one in releases if one.kind == "reembed")
            for target in (str(switch - 1), LAST, LAST, LAST):
                report = rollback_collection(session, COLLECTION, target)
                self.outcome.rollbacks.append(round(report.seconds["activate"], 4))
                self._require(not report.problems, f"rollback to {target}: {report.problems}")
            after = list_releases(session.db, get_collection(session.db, COLLECTION).id)
            self._require(after[0].digest == releases[0].digest, "back and forth is not where it was")

    # --- the end ----------------------------------------------------------------------

    def _judge(self, began: float, switched: float) -> None:
        outcome, plan = self.outcome, self.plan
        self._count_embedded(plan.store_chunks)
        self._count_searches(began, switched)
        self._count_ingests(began, switched)
        self._require(outcome.reembed.get("state") == "succeeded", f"the reembed: {outcome.reembed}")
        self._require(0 < outcome.reembed["switch_seconds"] < 1, "the switch took a second")
        self._require(max(outcome.rollbacks) < 1, f"a rollback took a second: {outcome.rollbacks}")
        with open_campaign(self.base, "fresh") as (session, _):
            with self._timed("check"):
                problems = check(session, COLLECTION).problems
            self._require(not problems, f"check: {problems}")
            collection = get_collection(session.db, COLLECTION)
            last = list_releases(session.db, collection.id)[0]
            self._count_runs(latest_runs(session.db, collection.id, most=100_000))
            outcome.releases = last.number
            with self._timed("fresh ingest"):
                fresh = ingest(session, self.base, "fresh")
            self._require(fresh.digest == last.digest.hex(), "a fresh collection has another digest")
            self._require(fresh.chunks.embedded == last.chunks, "a fresh collection has other chunks")

    def _count_embedded(self, store_chunks: int) -> None:
        """Twice is paid for what a kill hit between model and COMMIT, and for nothing else."""
        times: Counter[tuple[str, str]] = Counter()
        for line in (self.base / "embedded.log").read_text().splitlines():
            _, model, text = line.split(" ", 2)
            times[model, text] += 1
        for model in ("all-MiniLM-L6-v2", "better"):
            counts = [n for (name, _), n in times.items() if name == model]
            self.outcome.embedded[model] = len(counts)
            self.outcome.twice[model] = sum(counts) - len(counts)
        most = UNSTORED_STORES * store_chunks * self.outcome.kills["fill"]
        self._require(self.outcome.twice["better"] <= most, f"more than {most} were embedded twice")
        self._require(self.outcome.twice["all-MiniLM-L6-v2"] == 0, "the old model embedded twice")

    def _count_searches(self, began: float, switched: float) -> None:
        rows = _read(self.base / "reader.jsonl")
        errors = Counter(row["error"] for row in rows if row["error"])
        self._require(not errors, f"failed searches: {errors}")
        models = [row["model"] for row in rows if row["model"]]
        self._require("mixed" not in models, f"{models.count('mixed')} answers mix models")
        end = next((row["at"] for row in rows if row["model"] == "new"), switched)
        for name, part in (
            ("before", [row for row in rows if row["at"] < began]),
            ("during", [row for row in rows if began <= row["at"] < end]),
            ("after", [row for row in rows if row["at"] >= end]),
        ):
            self.outcome.searches[name] = _latencies(part) | {
                "found first": round(sum(row["found"] for row in part) / max(1, len(part)), 4),
                "old": sum(row["model"] == "old" for row in part),
                "new": sum(row["model"] == "new" for row in part),
            }
            self._require(bool(part), f"no search {name} the change")
        during = [row["model"] for row in rows if row["model"] and row["at"] < switched]
        self._require(during == sorted(during, reverse=True), "an answer of the old model after the switch")

    def _count_ingests(self, began: float, switched: float) -> None:
        rows = _read(self.base / "writer.jsonl")
        errors = Counter(row["error"] for row in rows if row["error"])
        self._require(not errors, f"failed ingests: {errors}")
        self._require(not any(row["problems"] for row in rows), "a release with problems")
        for name, part in (
            ("before", [row for row in rows if row["at"] < began]),
            ("during", [row for row in rows if began <= row["at"] < switched]),
            ("after", [row for row in rows if row["at"] >= switched]),
        ):
            self.outcome.ingests[name] = _latencies(part)
            self.outcome.ingests[name]["releases"] = sum(bool(row["release"]) for row in part)
            self._require(bool(part), f"no ingest {name} the change")

    def _count_runs(self, runs: list[dict[str, Any]]) -> None:
        ingests = [run for run in runs if run["flow"] == "ingest"]
        failed = [run for run in ingests if run["state"] not in ("succeeded", "unchanged")]
        self._require(
            all("switched" in str(run["error"]) for run in failed) and len(failed) <= 1,
            f"ingests failed: {[run['error'] for run in failed]}",
        )
        self.outcome.ingests["retried"] = {"n": len(failed)}
        crashed = sum(run["flow"] == "reembed" and run["state"] == "crashed" for run in runs)
        self._require(crashed == self.outcome.kills.total(), f"{crashed} runs are known as crashed")

    # --- shared -----------------------------------------------------------------------

    def _require(self, is_so: bool, else_: str) -> None:
        if not is_so:
            self.outcome.wrong.append(f"{else_} (folder {self.base})")

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.outcome.seconds[name] = round(time.monotonic() - began, 2)

    @contextmanager
    def _process(self, role: str, *arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """A child; it does not outlive the block."""
        with (self.base / "children.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", CHILD, str(self.base), role, *arguments],
                cwd=ROOT, stderr=log, text=True, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.base)},
                **options,
            )  # fmt: skip
        try:
            yield child
        finally:
            if child.poll() is None and role == "reembed":
                child.wait(DEADLINE_S)
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def _lines(child: subprocess.Popen[str], seconds: float, *, every: float = 1.0) -> Iterator[dict[str, Any]]:
    """What the child prints; an empty one each so many seconds where it prints nothing."""
    lines: queue.Queue[str | None] = queue.Queue()
    thread = threading.Thread(target=_collect, args=(child, lines.put), daemon=True)
    thread.start()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            line = lines.get(timeout=every)
        except queue.Empty:
            yield {}
            continue
        if line is None:
            thread.join()
            return
        yield json.loads(line) if line.startswith("{") else {}
    raise AssertionError("the child does not end")


def _collect(child: subprocess.Popen[str], put: Callable[[str | None], None]) -> None:
    assert child.stdout is not None
    try:
        for line in child.stdout:
            put(line.strip())
    except ValueError:  # closed: the child was killed, and its last words do not matter
        pass
    put(None)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _latencies(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many, and milliseconds."""
    if len(rows) < 2:
        return {"n": len(rows)}
    times = [1000 * row["seconds"] for row in rows]
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {"n": len(rows), "p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "max": round(max(times), 1)}


def main() -> int:
    """Play it and print what came of it; exit code 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.model_change", description=__doc__)
    parser.add_argument("--chunks", type=int, default=Plan.chunks)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    options = parser.parse_args()
    outcome = Campaign(Plan(chunks=options.chunks, seed=options.seed)).run()
    print(json.dumps(vars(outcome) | {"kills": dict(outcome.kills)}, indent=1))
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
