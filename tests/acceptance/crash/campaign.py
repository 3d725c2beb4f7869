"""One operation after the other, each killed at some moment, looked at, and run again."""

from __future__ import annotations

import copy
import os
import random
import shutil
import signal
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.crash.child import EMBEDDED, STORE_CHUNKS
from tests.acceptance.crash.killing import TARGETS, postmaster_pid
from tests.acceptance.crash.observing import SHOWN, Observed, observe, squeeze
from tests.acceptance.crash.operations import GONE, OPERATIONS, SETTINGS, edit_folder
from tests.acceptance.crash.processes import Child, Server, wait_for_orphans
from tests.flows.plain_model import PlainModel, searchable
from tests.likeness import is_alike
from tests.waiting import PATIENCE_S
from tests.world import World

SURVIVED = ("DatabaseUnavailable", "DatabaseError", "RunLost")
"""How a client may end whose server was killed."""


NEAR_STEPS = 16
"""From the writing of a release to a little after its COMMIT: where it is decided."""


@dataclass
class Tally:
    """What the kills of one operation by one target led to.

    Attributes:
        kills: how many there were.
        old, new: which state was found afterwards.
        completed: clients whose server was killed and that did their work all the same.
        embedded: texts embedded in the killed runs and in those after them.
        twice: texts of them that were embedded in both.
        recovery: most seconds until the server answered the next who came.
    """

    kills: int = 0
    old: int = 0
    new: int = 0
    completed: int = 0
    embedded: int = 0
    twice: int = 0
    recovery: float = 0.0


@dataclass
class Campaign:
    """A folder, a server, a plain model, and who kills them.

    Attributes:
        seed: of all choices; the moments of real kills differ all the same.
        base: the folder; left where something failed.
        tallies: by operation and target.
        missed: rounds whose operation ended before it could be killed.
        names: of the operations that are killed.
        say: what prints.
    """

    seed: int
    base: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="revector-crash-")))
    tallies: dict[tuple[str, str], Tally] = field(default_factory=lambda: defaultdict(Tally))
    missed: int = 0
    names: tuple[str, ...] = tuple(OPERATIONS)
    say: Any = print

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.base.chmod(0o711)  # the server's own user has to pass
        self.folder = self.base / "docs"
        self.folder.mkdir()
        self.server = Server(self.base / "home")
        self.model = PlainModel()
        self.digests: dict[frozenset[tuple[str, str]], bytes] = {}
        self.attempts = 0
        self.spans: dict[str, tuple[float, int]] = {}
        self.round = 0
        self.task: dict[str, Any] = {}
        self.last: Observed | None = None
        self.spare: Child | None = None

    @property
    def kills(self) -> int:
        return sum(tally.kills for tally in self.tallies.values())

    def run(self, kills: int) -> None:
        """Until so many kills were survived.

        Raises:
            AssertionError: something was not; the message names seed, round and folder.
        """
        try:
            self.server.start()
            self._prepare()
            deck = self._deck()
            while self.kills < kills:
                name, target = next(deck)
                while not self._play(name, target):
                    self.missed += 1
        except Exception as exc:
            where = f"seed {self.seed}, round {self.round}, {self.task}, folder {self.base}"
            raise AssertionError(f"{where}: {type(exc).__name__}: {exc}") from exc
        finally:
            if self.spare is not None:
                self.spare.kill()
            self.server.stop()
        wait_for_orphans(self.base)
        shutil.rmtree(self.base)

    def _deck(self) -> Iterator[tuple[str, str]]:
        """Operations and targets, shuffled; all of both come up before one of them comes thrice."""
        while True:
            names = [name for name in self.names for _ in range(OPERATIONS[name].weight)]
            targets = list(TARGETS)
            self.rng.shuffle(names)
            self.rng.shuffle(targets)
            for shift in range(len(targets)):
                for place, name in enumerate(names):
                    yield name, targets[(place + shift) % len(targets)]

    def _prepare(self) -> None:
        """Two releases in peace, and with them how long an ingest takes."""
        while len(self.model.files) < 15:
            edit_folder(self.rng, self.folder, self.model)
        for _ in range(2):
            task = edit_folder(self.rng, self.folder, self.model)
            self._complete("ingest", task)
            OPERATIONS["ingest"].expect(self.model, task)
            self._require_complete(self._look())

    # --- one round --------------------------------------------------------------------

    def _play(self, name: str, target: str) -> bool:
        """Kill an operation, look, run it again, look; False where it ended before its kill."""
        self.round += 1
        operation = OPERATIONS[name]
        arguments = operation.choose(self.rng, self.folder, self.model)
        before, after = copy.deepcopy(self.model), copy.deepcopy(self.model)
        operation.expect(after, arguments)
        if self.rng.random() < 0.15:
            self.server.stop()  # so that the child starts it, and may be killed doing so
        assert self.last is not None
        had, first = self.last.vectors, self.attempts + 1
        order = self._order(name, target)
        child, recovery = self._kill(name, arguments, order, (before, after))
        seen = self._look()
        is_new = self._require_either(seen, before, after)
        state = self._complete(name, arguments)
        assert state != GONE or is_new, "a document is gone, but not from all releases"
        self.model = after
        last = self._look()
        self._require_complete(last)
        if operation.sweeps:
            assert last.unused == (0, 0), f"(raw files, chunks) that nothing needs are left: {last.unused}"
        if name == "ingest":
            with World.open(self.base, None, **SETTINGS) as world:  # type: ignore[arg-type]
                assert world.plan().is_empty, "the run after the kill left something to do"
        paid, again = self._paid(first), self._paid(first + 1)
        assert not paid & had, "a text that had a vector was embedded"
        assert not again & seen.vectors, "a text whose vector was stored before the kill was embedded again"
        assert len(paid & again) <= 2 * STORE_CHUNKS, "more than two stores were paid twice"
        outcome = "not reached"
        if child.killed:
            outcome = "new" if is_new else "old"
            tally = self.tallies[name, target]
            tally.kills += 1
            tally.old += not is_new
            tally.new += is_new
            tally.completed += "state" in child.answer
            tally.recovery = max(tally.recovery, recovery)
            tally.embedded += len(paid) + len(again)
            tally.twice += len(paid & again)
        self.say(
            f"{self.kills:4d} {name} {target} {_describe(order)}: {outcome} {_say(child.answer)}", flush=True
        )
        return child.killed

    def _order(self, name: str, target: str) -> dict[str, Any]:
        """A moment: a step of the operation, or a time."""
        seconds, steps = self.spans.get(name, (0.5, 40))
        if self.rng.random() < 0.4:
            return {"target": target, "seconds": self.rng.uniform(0, seconds)}
        near = OPERATIONS[name].releases and self.rng.random() < 0.5
        return {
            "target": target,
            "near": near,
            "step": self.rng.randint(1, NEAR_STEPS if near else steps),
            "when": self.rng.choice(["before", "during", "during", "after"]),
            "delay": self.rng.uniform(0, 0.004),
        }

    def _kill(
        self,
        name: str,
        arguments: dict[str, Any],
        order: dict[str, Any],
        states: tuple[PlainModel, PlainModel],
    ) -> tuple[Child, float]:
        """Let a child run into its kill; returns it, and the seconds the server took to answer."""
        target = order["target"]
        child = self._begin(name, arguments, order if "step" in order else {})
        ended = child.wait(order.get("seconds", PATIENCE_S), lambda: self._watch(states))
        if not ended and not child.killed:
            assert "seconds" in order, "the operation does not end"
            child.killed = self._kill_now(child, target)
        recovery = 0.0
        if not ended and target == "postmaster" and self.rng.random() < 0.6:
            recovery = self.server.start()  # another command comes along while the client is still there
        if not ended:
            assert child.wait(), "a client whose server was killed does not end"
        if child.exit_code == -signal.SIGKILL and target == "client":
            child.killed = True
        else:
            assert child.exit_code == 0, f"exit code {child.exit_code}, see {self.base / 'children.log'}"
            error = child.answer.get("error")
            assert error is None or (child.killed and error in SURVIVED), child.answer
        recovery = max(recovery, self.server.start())
        self.server.wait_until_alone()
        return child, recovery

    def _kill_now(self, child: Child, target: str) -> bool:
        if target == "client":
            child.kill()
            return True
        if target == "backend":
            pids = self.server.backends()
            pid = self.rng.choice(pids) if pids else None
        else:
            pid = postmaster_pid(self.server.home)
        if pid is None:  # it has not come that far, or is over
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def _complete(self, name: str, arguments: dict[str, Any]) -> str:
        """Run an operation to its end; returns the state of its run."""
        child = self._begin(name, arguments, {})
        assert child.wait(), "the run after the kill does not end"
        assert child.exit_code == 0, f"exit code {child.exit_code}, see {self.base / 'children.log'}"
        assert child.answer.get("state") in ("succeeded", "unchanged", GONE), child.answer
        seconds, steps = self.spans.get(name, (0.0, 0))
        # slowly forgotten: a run after a late kill has little left to do
        self.spans[name] = (
            max(0.8 * seconds, child.answer["seconds"]),
            max(int(0.8 * steps), child.answer["steps"]),
        )
        return str(child.answer["state"])

    def _begin(self, name: str, arguments: dict[str, Any], kill: dict[str, Any]) -> Child:
        self.attempts += 1
        self.task = {"operation": name, "arguments": arguments, "kill": kill, "attempt": self.attempts}
        child, self.spare = self.spare or Child(self.base), None
        child.begin(self.task)
        self.spare = Child(self.base)  # its imports are done by the time that it is needed
        return child

    # --- what must hold ---------------------------------------------------------------

    def _look(self) -> Observed:
        with World.open(self.base, None, **SETTINGS) as world:  # type: ignore[arg-type]
            self.last = observe(world)
        return self.last

    def _watch(self, states: tuple[PlainModel, PlainModel]) -> None:
        """What a reader sees while the operation runs: one state or the other, never a mix."""
        rows = self.server.look(SHOWN)
        if rows is not None:
            assert squeeze(dict(rows)) in [_searchable(state) for state in states], "a reader saw a mix"

    def _require_either(self, seen: Observed, before: PlainModel, after: PlainModel) -> bool:
        """The state before the operation or the one after it; True where it is the latter."""
        self._require_sound(seen)
        reached = len(seen.releases) == len(after.states) - 1
        assert reached or len(seen.releases) == len(before.states) - 1, "a release too many"
        is_new = reached and all(
            after.whole[n] == (missing == 0) for n, (_, missing) in seen.releases.items()
        )
        model = after if is_new else before
        assert seen.shown == _searchable(model), "what is shown is neither the old nor the new state"
        self._require_history(seen, model)
        return is_new

    def _require_complete(self, seen: Observed) -> None:
        """All is as the plain model says, and nobody is taken for living that is dead."""
        self._require_sound(seen)
        assert seen.shown == _searchable(self.model), "what is shown is not what the model says"
        assert len(seen.releases) == len(self.model.states) - 1, "not the number of releases of the model"
        self._require_history(seen, self.model)
        for number, (_, missing) in seen.releases.items():
            assert (missing == 0) == self.model.whole[number], f"release {number}: {missing} missing"
        assert "running" not in seen.run_states, "a run stays running"
        assert seen.released <= {"succeeded"}, f"runs whose release is shown are {seen.released}"
        assert seen.staged == 0, "what a dead run staged stays"

    def _require_sound(self, seen: Observed) -> None:
        assert seen.problems == [], seen.problems
        assert seen.found == seen.placed, "search does not find what the tables show"
        assert seen.blobs == [], f"raw bytes missing or wrong: {seen.blobs}"

    def _require_history(self, seen: Observed, model: PlainModel) -> None:
        """Equal states have equal digests, whatever killed the runs that led there."""
        for number, (digest, missing) in seen.releases.items():
            if not missing and model.whole[number]:
                state = frozenset(squeeze(model.states[number]).items())
                assert self.digests.setdefault(state, digest) == digest, f"digest of release {number}"
        assert len(set(self.digests.values())) == len(self.digests), "two states have one digest"

    def _paid(self, attempt: int) -> set[str]:
        """Hashes of the texts that an attempt embedded; each once."""
        path = self.base / EMBEDDED
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        hashes = [hash_ for number, hash_ in lines if int(number) == attempt]
        assert len(set(hashes)) == len(hashes), "a text was embedded twice in one run"
        return set(hashes)


def _searchable(model: PlainModel) -> dict[str, str]:
    return squeeze(searchable(model.shown, is_alike))


def _describe(order: dict[str, Any]) -> str:
    if "seconds" in order:
        return f"at {order['seconds']:.2f} s"
    return f"{order['when']} step {order['step']}{' of the release' if order['near'] else ''}"


def _say(answer: dict[str, Any]) -> str:
    """How the client ended that was not killed itself."""
    ended = answer.get("state") or f"{answer.get('error', '')} {answer.get('message', '')[:90]}"
    return f"({ended.strip()})" if ended.strip() else ""
