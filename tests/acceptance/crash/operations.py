"""What is killed: each operation as the child does it, as the plain model sees it, and at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.forgetting import forget
from flows.purging import purge_collection
from flows.rollback import rollback_collection
from schemas.errors import DocumentNotFound
from tests.flows.plain_model import PlainModel
from tests.texts import english_sentence
from tests.world import World

COLLECTION = "default"
FOLDERS = ("", "a", "a/b", "c")
FILES = 12
KEEP_VERSIONS = 1
SETTINGS: dict[str, Any] = {
    "limits": {"window_documents": 4},
    "collections": {
        COLLECTION: {"retention": {"keep_versions": KEEP_VERSIONS, "keep_days": 0, "grace_hours": 0}}
    },
}
"""Of every process of a campaign; windows are small so that a run has several."""
GONE = "gone"
"""What a second `forget` finds where the first was killed late."""

Task = dict[str, Any]
"""An operation with its arguments, as JSON."""


@dataclass(frozen=True)
class Operation:
    """One kind of operation.

    Attributes:
        choose: edits the folder, or chooses a target; returns the arguments.
        run: does it in a process of its own; returns the state of its run.
        expect: does it to the plain model.
        weight: how often it is killed, beside the others.
        releases: whether a release may come of it.
        sweeps: nothing unused may be left when it is complete.
    """

    choose: Callable[[random.Random, Path, PlainModel], Task]
    run: Callable[[World, Task], str]
    expect: Callable[[PlainModel, Task], Any]
    weight: int = 1
    releases: bool = True
    sweeps: bool = False


def edit_folder(rng: random.Random, folder: Path, model: PlainModel) -> Task:
    """Adds, edits, copies, moves and deletes; something to embed is always among them."""
    _put(folder, model, _uri(rng), _text(rng))
    for _ in range(rng.randint(2, 7)):
        known = sorted(model.files)
        if not known or rng.random() < 0.25:
            _put(folder, model, _uri(rng), _text(rng))
            continue
        old, text = (uri := rng.choice(known)), model.files[uri]
        match rng.choice(["edit", "edit", "copy", "move", "delete", "restore"]):
            case "edit":
                at = rng.randint(0, len(text))
                _put(folder, model, old, f"{text[:at]} {english_sentence(rng)} {text[at:]}")
            case "copy":
                footer = " Printed from the archive, not for sale." if rng.random() < 0.5 else ""
                _put(folder, model, _uri(rng), text + footer)
            case "move":
                if (new := _uri(rng)) != old:
                    (folder / new).parent.mkdir(parents=True, exist_ok=True)
                    (folder / old).rename(folder / new)
                    model.files[new] = model.files.pop(old)
            case "delete":
                (folder / old).unlink()
                del model.files[old]
            case "restore":  # what an old release showed: stored vectors, no new ones
                state = rng.choice(model.states)
                _put(folder, model, old, state.get(old, text))
    return {"reapply": rng.random() < 0.2}


def _uri(rng: random.Random) -> str:
    return (Path(rng.choice(FOLDERS)) / f"f{rng.randint(1, FILES)}.txt").as_posix()


def _text(rng: random.Random) -> str:
    return " ".join(english_sentence(rng) for _ in range(rng.choice([1, 5, 25, 50])))


def _put(folder: Path, model: PlainModel, uri: str, text: str) -> None:
    path = folder / uri
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    model.files[uri] = text


def _ingest(world: World, task: Task) -> str:
    return world.ingest(allow_deletions=True, reapply=task["reapply"]).state


def _choose_release(rng: random.Random, folder: Path, model: PlainModel) -> Task:
    others = [
        number
        for number, state in enumerate(model.states)
        if model.whole[number] and state and state != model.shown
    ]
    if not others or rng.random() < 0.05:
        return {"to": 0}
    return {"to": rng.choice(others)}


def _roll_back(world: World, task: Task) -> str:
    return rollback_collection(world.session, COLLECTION, str(task["to"])).state


def _purge(world: World, task: Task) -> str:
    purge_collection(world.session, COLLECTION)
    return "succeeded"


def _choose_document(rng: random.Random, folder: Path, model: PlainModel) -> Task:
    uri = rng.choice(sorted({uri for state in model.states for uri in state}) or ["never-shown.txt"])
    if uri in model.files and rng.random() < 0.5:
        (folder / uri).unlink()
        del model.files[uri]
    return {"uri": uri}


def _forget(world: World, task: Task) -> str:
    try:
        forget(world.session, task["uri"], COLLECTION)
    except DocumentNotFound:
        return GONE
    return "succeeded"


OPERATIONS: dict[str, Operation] = {
    "ingest": Operation(
        edit_folder, _ingest, lambda model, task: model.ingest(reapply=task["reapply"]), weight=2
    ),
    "rollback": Operation(_choose_release, _roll_back, lambda model, task: model.rollback(task["to"])),
    "purge": Operation(
        lambda rng, folder, model: {},
        _purge,
        lambda model, task: model.purge(KEEP_VERSIONS),
        releases=False,
        sweeps=True,
    ),
    "forget": Operation(
        _choose_document, _forget, lambda model, task: model.forget(task["uri"]), sweeps=True
    ),
}
