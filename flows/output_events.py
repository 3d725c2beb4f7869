"""What the commands about events print; text for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flows import output
from flows.printable import printable
from flows.reindexing import ReindexReport
from schemas.event import NamedChange

SHOWN_CHANGES = 10
WHOLE = "(everything)"

_SAYS = {
    "unknown": "neither in the source nor in the index",
    "ignored": "left out by the source's patterns",
    "conflict": "changed by another run meanwhile",
}
_SIGNS = {"prefix": "look at", "changed": "changed", "deleted": "gone"}


def reindex_json(report: ReindexReport) -> dict[str, Any]:
    """Plain values; `outcomes` has a row for each document or folder that was named."""
    return {
        "collection": report.collection,
        "outcomes": [
            {"source": source, "uri": uri, "outcome": outcome}
            for (source, uri), outcome in report.outcomes.items()
        ],
        "events": report.events,
        "retried": report.retried,
        "errors": dict(report.errors),
        "runs": [run.as_json() for run in report.runs],
    }


def print_reindex(report: ReindexReport) -> None:
    """A line for each document or folder that was named, then the runs."""
    several = len({source for source, _ in report.outcomes}) > 1
    for (source, uri), outcome in sorted(report.outcomes.items()):
        place = f"{printable(source)}: " if several else ""
        print(f"{place}{shown_uri(uri)}: {_SAYS.get(outcome, outcome)}")
    for source, why in report.errors.items():
        print(f"Source {printable(source)} was not looked at: {why}")
    if report.retried:
        print(f"{report.retried} events stay pending and are tried again.")
    for run in report.runs:
        output.print_report(run)
    if not report.runs and not report.errors:
        print("No events wait.")


def events_json(
    collection: str,
    events: Iterable[Mapping[str, Any]],
    *,
    retried: int,
    waiting: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Events, newest first; `retried` is how many that had failed are pending again."""
    rows = [dict(event) for event in events]
    return {"collection": collection, "events": rows, "retried": retried, "waiting": waiting}


def print_waiting(waiting: Mapping[str, Any]) -> None:
    """How many events are pending, and what holds them up, as `flows.inspecting.waiting_events` has it."""
    events = waiting["events"]
    print(
        f"{events} {'event waits' if events == 1 else 'events wait'}, since {output.shown(waiting['since'])}."
    )
    if waiting["trouble"]:
        failures = f" ({waiting['failures']} flow runs in a row)" if waiting["failures"] > 1 else ""
        print(f"What holds them up{failures}: {printable(waiting['trouble'])}")


def print_events(events: Sequence[Mapping[str, Any]]) -> None:
    """One line for each event, newest first, and why those that have failed did."""
    columns = ["received_at", "sender", "source", "uri", "action", "state", "outcome", "attempts"]
    rows = [
        {**event, "uri": shown_uri(event["uri"]), "sender": printable(event["sender"])} for event in events
    ]
    output.print_table(rows, columns, empty="No events.")
    for event in events:
        if event["error"]:
            print(f"\n{shown_uri(event['uri'])}, {event['state']}: {printable(event['error'])}")
    if any(event["state"] == "failed" for event in events):
        print("\nMend the cause, then run `revector events --retry`.")


def print_changes(changes: Sequence[NamedChange]) -> None:
    """What a delivery of the watcher names."""
    print(f"{len(changes)} {'change' if len(changes) == 1 else 'changes'}:", flush=True)
    for change in changes[:SHOWN_CHANGES]:
        print(f"  {_SIGNS[change.action]} {shown_uri(change.uri)}", flush=True)
    if len(changes) > SHOWN_CHANGES:
        print(f"  ... and {len(changes) - SHOWN_CHANGES} more", flush=True)


def shown_uri(uri: str) -> str:
    """The uri as a terminal can show it; that of a whole source has no letters.

    >>> shown_uri("hr/kim.txt"), shown_uri("")
    ('hr/kim.txt', '(everything)')
    """
    return printable(uri) or WHOLE
