"""Batches of mutants through the real ingest, and what came of each."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from registry.collections import find_collection
from registry.containers import known_containers
from registry.runs import list_rejections
from tests.acceptance.fuzz.judge import Seen, judge
from tests.acceptance.fuzz.mutants import Mutant, make_mutant
from tests.acceptance.fuzz.watch import Ask, Watch, parser_processes, watching
from tests.world import World

COLLECTION = "default"
BATCH = 300
TIMEOUT_S = 20
OCR_TIMEOUT_S = 40
MEMORY_MB = 1024
OPEN_GATE = {f"max_{what}": 1 for what in ("rejected_share", "empty_share", "hidden_share", "chunk_fall")}
"""Most files of a batch may be beyond help."""
MOST_GROWTH = 600 << 20
"""Bytes of resident memory that this process may hold more than after its first batch.

Measured 2026-11-20: 361 MB after ten batches of 300, and no more after that; the number of Python
objects stays the same, so this is the allocators' own.
"""

_ACTIVE = (
    "SELECT d.uri FROM activation a JOIN document d ON d.id = a.document_id "
    "JOIN document_version v ON v.id = a.version_id "
    "WHERE a.to_release IS NULL AND a.collection_id = %s AND v.chunks > 0"
)
_SOURCE = "SELECT id FROM source WHERE collection_id = %s"
_BAD_TEXTS = (
    "SELECT DISTINCT uri FROM current_places p JOIN chunk c ON c.id = p.chunk_id WHERE p.collection_id = %s "
    r"AND (concat(c.text, p.title, p.author, p.heading) ~ '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]' "
    r"OR p.metadata::text ~ '[^\\]\\u00(0[0-8bcef]|1)')"
)


@dataclass
class Campaign:
    """Mutants of a seed, batch by batch.

    Attributes:
        url: of a database with the schema in it, or an empty one.
        seed: of the mutants.
        origins: the files that are damaged, by name.
        base: a folder; removed when all went well.
        batch: files of one ingest.
        say: what prints.
        mutants: how many were judged.
        outcomes: by format, what became of them; `members` of the files inside archives and mails.
        asks: every request to a parser process.
        failures: broken promises.
        how: by name, what was done to a file.
        peaks: of memory.
        grown: bytes of memory that this process holds more than after its first batch, at most.
    """

    url: str
    seed: int
    origins: Mapping[str, bytes]
    base: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="revector-fuzz-")))
    batch: int = BATCH
    say: Any = print
    mutants: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    members: Counter[str] = field(default_factory=Counter)
    asks: list[Ask] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    how: dict[str, str] = field(default_factory=dict)
    peaks: Watch = field(default_factory=Watch)
    grown: int = 0
    _first_rss: int = 0

    def run(self, numbers: Sequence[int], *, ocr: bool = False) -> None:
        """Ingest these mutants, and judge; failures are collected, not raised."""
        for start in range(0, len(numbers), self.batch):
            mutants = [make_mutant(self.seed, n, self.origins) for n in numbers[start : start + self.batch]]
            self._run_batch(f"{'ocr' if ocr else 'batch'}-{numbers[start]}", mutants, ocr=ocr)

    def _run_batch(self, name: str, mutants: Sequence[Mutant], *, ocr: bool) -> None:
        folder = self.base / name
        folder.mkdir(parents=True)
        self.how |= {mutant.name: mutant.how for mutant in mutants}
        names = [mutant.name for mutant in mutants]
        with watching() as watch:
            try:
                seen = self._ingest(folder, mutants, ocr=ocr)
            except Exception as exc:
                self._fail([f"{name}: the run ended with {type(exc).__name__}: {exc} (files in {folder})"])
                return
            finally:
                self._take(watch)
        failures = judge(names, seen, watch.asks) + self._growth()
        self._fail(failures)
        self._count(mutants, seen)
        self.mutants += len(mutants)
        brief = f"{len(mutants)} mutants, {len(failures)} failures, {self.grown >> 20} MB kept"
        self.say(f"{name}: {brief}, {_brief(watch.asks)}", flush=True)
        if not failures:
            shutil.rmtree(folder)

    def _ingest(self, folder: Path, mutants: Sequence[Mutant], *, ocr: bool) -> Seen:
        limits = {"parse_timeout_s": TIMEOUT_S, "parse_memory_mb": MEMORY_MB}
        with World.open(folder, self.url, tenant=folder.name, limits=limits) as world:
            world.configure(
                exclude=(),
                ocr={"enabled": ocr, "timeout_s": OCR_TIMEOUT_S},
                gate=OPEN_GATE,
            )
            for mutant in mutants:
                world.write(mutant.name, mutant.data)
            world.ingest()
            return look(world)

    def _take(self, watch: Watch) -> None:
        self.asks += watch.asks
        self.peaks.processes |= watch.processes
        for peak in ("parent_peak", "child_peak", "space_peak"):
            setattr(self.peaks, peak, max(getattr(self.peaks, peak), getattr(watch, peak)))

    def _growth(self) -> list[str]:
        """Whether this process keeps what it should let go."""
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL(None).malloc_trim(0)  # what is freed and not given back is nobody's
        resident = psutil.Process().memory_info().rss
        self._first_rss = self._first_rss or resident
        grown = resident - self._first_rss
        self.grown = max(self.grown, grown)
        return [f"this process grew by {grown >> 20} MB"] if grown > MOST_GROWTH else []

    def _fail(self, failures: Sequence[str]) -> None:
        self.failures += failures
        for failure in failures:
            self.say(f"FAILED {failure}", flush=True)

    def _count(self, mutants: Sequence[Mutant], seen: Seen) -> None:
        rejected = {r.uri: r.error for r in seen.rejections if not r.part}
        partial = {r.uri for r in seen.rejections if r.part}
        indexed = set(seen.indexed)
        for mutant in mutants:
            if mutant.name in seen.archives:
                inside = seen.archives[mutant.name]
                outcome = "opened" if inside else rejected.get(mutant.name, "members rejected")
            elif mutant.name in indexed:
                outcome = "indexed in part" if mutant.name in partial else "indexed"
            else:
                outcome = rejected.get(mutant.name, "MISSING")
            self.outcomes[mutant.format][outcome] += 1
        for inside in (*seen.archives.values(), *seen.mails.values()):
            self.members.update(rejected.get(uri, "indexed") for uri in inside)


def look(world: World) -> Seen:
    """What stands after an ingest, read from the registry and the disk."""
    db = world.session.db
    collection = find_collection(db, COLLECTION)
    assert collection is not None
    with db.connection() as connection:
        indexed = [uri for (uri,) in connection.execute(_ACTIVE, [collection.id])]
        bad_texts = [uri for (uri,) in connection.execute(_BAD_TEXTS, [collection.id])]
        ((source,),) = connection.execute(_SOURCE, [collection.id]).fetchall()
    archives, mails = {}, {}
    for uri, container in known_containers(db, source).items():
        inside = [f"{uri}/{member.name}" for member in container.inside.members]
        (mails if container.is_document else archives)[uri] = inside
    unpacked = world.session.settings.home / "unpacked"
    return Seen(
        indexed=indexed,
        rejections=list_rejections(db, collection.id),
        archives=archives,
        mails=mails,
        problems=world.problems(),
        left_files=[str(path) for path in unpacked.rglob("*")],
        left_processes=[process.pid for process in parser_processes()],
        bad_texts=bad_texts,
    )


def _brief(asks: Sequence[Ask]) -> str:
    ends = sorted({f"{ask.uri} {ask.error}" for ask in asks if ask.error in ("ParseCrashed", "ParseTimeout")})
    slowest = max((ask.seconds for ask in asks), default=0)
    return ", ".join([f"{len(asks)} requests", f"slowest {slowest:.1f} s", *ends])
