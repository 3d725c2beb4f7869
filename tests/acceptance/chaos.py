"""A thousand events while receiver, worker, Prefect server and flow processes are killed -9 at random.

    python -m tests.acceptance.chaos --events 1000 --minutes 8 --seed 7

Each event is a new content of a document, written to the source and then posted, as a content system does it;
a sender that gets no answer sends the same message again. At the end each event must have been applied once,
each document be found with its last content, and nothing be left to do.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
import psutil

from flows.checking import check
from flows.estimating import foresee_location
from registry.collections import get_collection
from registry.search import search_collection
from tasks.batch import plain_steps
from tests.service import Service, open_service

TARGETS = {
    "receiver": r"flows\.cli.* webhook",
    "worker": r"flows\.service\.worker",
    "server": r"flows\.service\.prefect_server",
    "flow": r"prefect flow-run execute|prefect\.engine|flow_engine",
}
BURST = 25


@dataclass
class Outcome:
    """What came of it."""

    accepted: int = 0
    repeated: int = 0
    retries: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    applied: int = 0
    failed: int = 0
    attempts: int = 0
    deliveries: int = 0
    wrong: list[str] = field(default_factory=list)
    releases: int = 0
    flow_runs: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def run_chaos(
    service: Service,
    *,
    events: int,
    documents: int,
    seed: int,
    pauses: tuple[float, float],
    every: float = 0.5,
) -> Outcome:
    """Play it on a service that is started; raises AssertionError where the events do not settle.

    Args:
        service: with an indexed source of `documents` files.
        events: how many.
        documents: among how many files.
        seed: of what is written and killed.
        pauses: seconds between two kills, at least and at most.
        every: seconds between bursts, on average.
    """
    dice, outcome, over = random.Random(seed), Outcome(), threading.Event()
    killer = threading.Thread(target=_kill, args=(service, random.Random(seed), outcome, pauses, over))
    started = time.monotonic()
    killer.start()
    last: dict[int, str] = {}
    try:
        for number in range(events):
            document = dice.randrange(documents)
            word = last[document] = f"word{seed}x{number}"
            _write(service, document, word)
            _post(service, outcome, f"event-{seed}-{number}", f"{document}.txt")
            if dice.random() < 0.1:  # a sender that has lost the answer
                _post(service, outcome, f"event-{seed}-{number}", f"{document}.txt")
            if number % BURST == BURST - 1:
                time.sleep(dice.uniform(0, 2 * every))
    finally:
        over.set()
        killer.join()
    service.wait(lambda: _pending(service) == 0)
    outcome.seconds = time.monotonic() - started
    _verify(service, outcome, last)
    return outcome


def index_first(service: Service, documents: int) -> None:
    """Write the files and index them."""
    for document in range(documents):
        _write(service, document, f"first{document}")
    from flows.pipeline import ingest_location

    with service.session() as session, plain_steps() as steps:
        ingest_location(session, steps, str(service.docs), "default")


def _write(service: Service, document: int, word: str) -> None:
    path = service.docs / f"{document}.txt"
    new = path.with_suffix(".tmp")  # excluded by the default patterns
    new.write_text(f"Document {document} speaks of {word} and of its number {document * 7919}.")
    new.rename(path)


def _post(service: Service, outcome: Outcome, id: str, uri: str) -> None:
    """Until it is accepted, as senders do."""
    while True:
        try:
            answer = service.post("/v1/events/default", {"changed": [uri]}, id=id)
        except httpx.HTTPError:
            outcome.retries += 1
            time.sleep(0.2)
            continue
        if answer.status_code == 202:
            outcome.accepted += 1
        elif answer.status_code == 200:
            outcome.repeated += 1
        elif answer.status_code in (429, 503):
            outcome.retries += 1
            time.sleep(0.2)
            continue
        else:
            raise AssertionError(f"{answer.status_code}: {answer.text}")
        return


def _kill(
    service: Service,
    dice: random.Random,
    outcome: Outcome,
    pauses: tuple[float, float],
    over: threading.Event,
) -> None:
    while not over.wait(dice.uniform(*pauses)):
        target = dice.choice(list(TARGETS))
        until = time.monotonic() + pauses[1]
        while not (found := service.find(TARGETS[target])) and time.monotonic() < until:
            time.sleep(0.1)  # a flow's process lives for seconds only
        for process in found:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            outcome.kills[target] += 1


def _pending(service: Service) -> int:
    with service.session() as session, session.db.connection() as connection:
        row = connection.execute("SELECT count(*) FROM event WHERE state = 'pending'").fetchone()
    return int(row[0])


def _verify(service: Service, outcome: Outcome, last: dict[int, str]) -> None:
    with service.session() as session:
        with session.db.connection() as connection:
            counts = connection.execute(
                "SELECT count(*) FILTER (WHERE e.state = 'applied'), "
                "count(*) FILTER (WHERE e.state = 'failed'), sum(e.attempts), count(DISTINCT d.id) "
                "FROM event e JOIN delivery d ON d.id = e.delivery_id WHERE d.delivery LIKE 'event-%'"
            ).fetchone()
            outcome.applied, outcome.failed, outcome.attempts, outcome.deliveries = map(int, counts)
            twice = connection.execute(
                "SELECT count(*) FROM (SELECT document_id, content_sha256 FROM document_version "
                "GROUP BY 1, 2 HAVING count(*) > 1) AS x"
            ).fetchone()[0]
        if twice:
            outcome.wrong.append(f"{twice} contents were made twice")
        collection = get_collection(session.db, "default")
        outcome.releases = collection.current_release
        for document, word in last.items():
            hits = search_collection(session.db, collection, k=3, text=word)
            if [hit.uri for hit in hits][:1] != [f"{document}.txt"]:
                outcome.wrong.append(f"{document}.txt is not found with {word}")
        with plain_steps() as steps:
            plan = foresee_location(session, steps, str(service.docs), "default").plan
        if not plan.is_empty:
            outcome.wrong.append(f"left to do: {plan.changed[:5]} {plan.added[:5]} {plan.deleted[:5]}")
        outcome.wrong += [f"check: {problem.detail}" for problem in check(session, "default").problems]
    outcome.flow_runs = Counter(
        run["state_name"] for run in service.flow_runs() if run["name"].startswith("reindex")
    )


def main() -> int:
    """Play it and print the counts; exit code 1 where one is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--documents", type=int, default=150)
    parser.add_argument("--minutes", type=float, default=8, help="over which the events come")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with open_service() as service:
        index_first(service, options.documents)
        service.start()
        outcome = run_chaos(
            service,
            events=options.events,
            documents=options.documents,
            seed=options.seed,
            pauses=(4, 16),
            every=60 * options.minutes * BURST / options.events,
        )
        print(
            json.dumps(vars(outcome) | {"kills": dict(outcome.kills), "flow_runs": dict(outcome.flow_runs)})
        )
    is_right = (outcome.accepted + outcome.repeated >= options.events
                and (outcome.applied, outcome.failed) == (options.events, 0)
                and outcome.deliveries == options.events and not outcome.wrong)  # fmt: skip
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
