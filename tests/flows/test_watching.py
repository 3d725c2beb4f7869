"""Watching a folder: each change becomes an event, whatever dies, hangs or is replaced meanwhile."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import threading
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from flows.commands.watching import load_once
from flows.notifying import notify_of
from flows.reindexing import ReindexReport, apply_events
from flows.watching import Watcher, count_waiting, open_watch
from registry.events import find_delivery, list_events
from schemas.errors import ConfigurationError, DatabaseUnavailable, GateFailed, SourceNotFound
from tasks.batch import plain_steps
from tasks.sources.noticing import ADDED, DELETED, MODIFIED

LONG_S = 60


class Stage:
    """A watcher whose notifications a test plays; between them the test may act."""

    def __init__(self, world, *acts, apply=None, path=None, **options):
        self.world = world
        self.stop = threading.Event()
        self.starts = 0
        self.stored = []
        self.ran = []
        self.acts = list(acts)
        self.collection, watched = open_watch(world.session, str(path or world.folder), "default", **options)
        self.watcher = Watcher(
            world.session, self.collection, watched, notify=self._notify, apply=apply,
            on_delivery=self.stored.append, on_run=self.ran.append,
        )  # fmt: skip

    def _notify(self, folder, stop):
        self.starts += 1
        yield set()
        while self.acts:
            yield self.acts.pop(0)() or set()
        stop.set()

    def run(self):
        self.watcher.run(self.stop)
        return self

    @property
    def said(self):
        return [[(change.uri, change.action) for change in changes] for changes in self.stored]


def changed(world, *names, kind=MODIFIED):
    return lambda: {(kind, str(world.folder / name)) for name in names}


def events(world):
    return [(row["uri"], row["action"], row["state"]) for row in reversed(list_events(world.session.db, 1))]


def test_the_first_event_looks_at_everything_and_a_burst_is_one_delivery(world):
    world.write("a.txt", "A heron.")
    world.write("b.txt", "A crane.")
    stage = Stage(world, changed(world, "a.txt", "b.txt", "gone.txt"), set, set).run()
    assert stage.said == [
        [("", "prefix")], [("a.txt", "changed"), ("b.txt", "changed"), ("gone.txt", "deleted")]
    ]  # fmt: skip
    assert [state for *_, state in events(world)] == ["pending"] * 4
    (row,) = {(row["sender"], row["source"]) for row in list_events(world.session.db, 1)}
    assert row == ("watch", "docs")
    assert count_waiting(world.session, stage.collection) == 4


def test_a_part_of_a_known_source_is_watched_as_that(world):
    world.write("sub/a.txt", "A heron.")
    world.ingest()
    stage = Stage(world, changed(world, "sub/a.txt"), path=world.folder / "sub").run()
    assert stage.said == [[("sub", "prefix")], [("sub/a.txt", "changed")]]


def test_without_a_dispatcher_the_watcher_applies_what_it_stores(world):
    world.write("a.txt", "A heron.")
    with plain_steps() as steps:
        stage = Stage(
            world,
            lambda: world.write("b.txt", "A crane.") and changed(world, "b.txt", kind=ADDED)(),
            apply=partial(apply_events, world.session, steps, "default"),
        ).run()
    assert [report.runs[0].release for report in stage.ran] == [1, 2]
    assert world.file_uris() == ["a.txt", "b.txt"] == sorted(hit.uri for hit in world.vector("bird"))
    assert count_waiting(world.session, stage.collection) == 0


def test_a_run_that_is_stopped_does_not_end_the_watch(world, caplog):
    def fail():
        raise GateFailed("The release did not pass its gate.")

    stage = Stage(world, changed(world, "a.txt"), apply=fail).run()
    assert stage.said == [[("", "prefix")], [("a.txt", "changed")]]
    assert "did not pass its gate" in caplog.text


def test_what_an_earlier_run_left_is_tried_again_without_a_new_change(world):
    calls = []

    def fail_at_first():
        calls.append(1)
        if len(calls) < 3:
            raise DatabaseUnavailable("The database is away.")
        return ReindexReport("default")

    stage = Stage(world, set, set, set, apply=fail_at_first).run()
    assert len(stage.ran) == 2
    assert len(stage.stored) == 1


def test_while_the_database_is_away_changes_are_kept_and_stored_once(world, monkeypatch):
    clock, calls = [0.0], []
    world.session = replace(world.session, timer=lambda: clock[0])
    import flows.watching as watching

    def accept(db, collection_id, delivery, original=watching.accept_delivery):
        calls.append((clock[0], delivery.id))
        if len(calls) == 2:
            original(db, collection_id, delivery)  # stored, but the answer is lost
        if len(calls) <= 2:
            raise DatabaseUnavailable("The database is away.")
        return original(db, collection_id, delivery)

    def later(seconds, *names):
        def act():
            clock[0] += seconds
            return changed(world, *names)() if names else set()

        return act

    monkeypatch.setattr(watching, "accept_delivery", accept)
    acts = [later(0.5, "a.txt"), later(0.5, "b.txt"), later(1.5), later(2.0), later(5.0)]
    stage = Stage(world, *acts).run()
    # tried at 0, after two seconds, after four more; what came meanwhile is one more delivery
    assert [at for at, _ in calls] == [0.0, 2.5, 9.5, 9.5]
    assert len({id_ for _, id_ in calls[:3]}) == 1
    assert stage.said == [[("", "prefix")], [("a.txt", "changed"), ("b.txt", "changed")]]
    assert [uri for uri, *_ in events(world)] == ["", "a.txt", "b.txt"]
    assert stage.watcher.unsaved == 0


def test_what_could_not_be_stored_at_the_end_is_said(world, monkeypatch):
    def away(*_):
        raise DatabaseUnavailable("The database is away.")

    monkeypatch.setattr("flows.watching.accept_delivery", away)
    stage = Stage(world, changed(world, "a.txt", "b.txt")).run()
    assert stage.watcher.unsaved == 3
    assert events(world) == []


def test_at_the_end_what_waits_for_its_next_try_is_stored(world, monkeypatch):
    import flows.watching as watching

    tries = []

    def away_once(*args, original=watching.accept_delivery):
        tries.append(1)
        if len(tries) == 1:
            raise DatabaseUnavailable("The database is away.")
        return original(*args)

    monkeypatch.setattr(watching, "accept_delivery", away_once)
    stage = Stage(world, changed(world, "a.txt")).run()
    assert (stage.watcher.unsaved, len(tries)) == (0, 3)


def test_a_folder_that_is_gone_ends_the_watch_clearly(world):
    world.write("a.txt", "A heron.")

    def vanish():
        shutil.rmtree(world.folder)
        return changed(world, "a.txt", kind=DELETED)()

    stage = Stage(world, vanish)
    with pytest.raises(SourceNotFound, match=r"watched folder .* is gone"):
        stage.run()
    assert stage.watcher.unsaved == 0


def test_another_folder_in_its_place_is_looked_at_from_the_start(world, tmp_path):
    def replace_it():
        world.folder.rename(tmp_path / "old")
        world.folder.mkdir()

    stage = Stage(world, replace_it, changed(world, "a.txt")).run()
    assert stage.starts == 2
    assert stage.said == [[("", "prefix")], [("", "prefix")], [("a.txt", "changed")]]


def test_a_watch_that_breaks_begins_anew_and_looks_at_everything(world, monkeypatch, caplog):
    monkeypatch.setattr("flows.watching.TICK_S", 0.0)

    def break_it():
        raise RuntimeError('Unable to decode path "\\xFF.txt" to string')

    stage = Stage(world, break_it, changed(world, "a.txt")).run()
    assert stage.said == [[("", "prefix")], [("", "prefix")], [("a.txt", "changed")]]
    assert "begins anew" in caplog.text


def test_a_folder_with_too_many_folders_ends_the_watch_with_advice(world):
    def refuse():
        raise OSError("OS file watch limit reached.")

    with pytest.raises(ConfigurationError, match=r"limit reached.*max_user_watches.*--poll"):
        Stage(world, refuse).run()
    assert [uri for uri, *_ in events(world)] == [""]


def test_a_folder_that_left_is_told_from_a_file_and_from_an_archive(world):
    world.write("sub/a.txt", "A heron.")
    world.write("b.txt", "A crane.")
    world.write("stays.txt", "A swan.")
    with zipfile.ZipFile(world.folder / "p.zip", "w") as archive:
        archive.writestr("c.txt", "A stork.")
    world.ingest()
    for name in ("sub", "b.txt", "p.zip"):
        (world.folder / name).rename(world.folder.parent / name)  # of a folder, only its own end is reported
    stage = Stage(world, changed(world, "sub", "b.txt", "p.zip", kind=DELETED)).run()
    assert stage.said[1] == [("b.txt", "deleted"), ("p.zip", "deleted"), ("sub", "prefix")]


def test_only_local_folders_outside_of_our_data_are_watched(world, tmp_path):
    file = world.write("a.txt", "A heron.")
    home = world.session.settings.home
    (home / "blobs").mkdir(exist_ok=True)
    for path, error in (
        ("s3://bucket/docs", ConfigurationError), (str(file), ConfigurationError),
        (str(tmp_path / "gone"), SourceNotFound), (str(home / "blobs"), SourceNotFound),
    ):  # fmt: skip
        with pytest.raises(error):
            open_watch(world.session, path, "default")
    with pytest.raises(ConfigurationError, match="kind"):
        open_watch(world.session, str(world.folder), "default", kind="documents")
        open_watch(world.session, str(world.folder), "default", kind="images")


@pytest.mark.parametrize("poll", [False, True])
def test_real_files_are_searchable_after_they_change_and_not_after_they_go(world, poll):
    world.write("a.txt", "A heron.")
    reports, stop, failure = queue.Queue(), threading.Event(), []
    collection, watched = open_watch(world.session, str(world.folder), "default", poll=poll)

    def watch():
        try:
            with plain_steps() as steps:
                Watcher(
                    world.session, collection, watched,
                    notify=notify_of(debounce_s=0.1, max_wait_s=1, poll=poll),
                    apply=partial(apply_events, world.session, steps, "default"),
                    on_delivery=lambda changes: None, on_run=reports.put,
                ).run(stop)  # fmt: skip
        except BaseException as error:
            failure.append(error)
            reports.put(None)

    def until(uri, outcome):
        """Wait until a run says so; what came before may have been seen in several bursts."""
        while True:
            report = reports.get(timeout=LONG_S)
            assert report is not None, failure
            if report.outcomes.get(("docs", uri)) == outcome:
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        until("", "changed")
        assert [hit.uri for hit in world.keyword("heron")] == ["a.txt"]
        world.write("sub/b.txt", "A crane.")
        until("sub", "changed")
        assert [hit.uri for hit in world.keyword("crane")] == ["sub/b.txt"]
        (world.folder / "a.txt").unlink()
        until("a.txt", "deleted")
        assert world.keyword("heron") == []
    finally:
        stop.set()
        thread.join(timeout=LONG_S)
    assert not thread.is_alive()
    assert failure == []


@pytest.mark.parametrize("poll", [False, True])
def test_what_changed_just_before_the_end_is_still_told(tmp_path, poll):
    stop = threading.Event()
    bursts = notify_of(debounce_s=1, max_wait_s=5, poll=poll)(tmp_path, stop)
    assert next(bursts) == set()
    (tmp_path / "late.txt").write_text("A crane.")
    stop.set()
    told = {Path(path).name for burst in bursts for _, path in burst}
    assert told - {tmp_path.name} == {"late.txt"}  # polling sees that the folder itself has changed, too


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_cleanly_and_says_what_is_pending(run, docs, monkeypatch, number):
    """In the main thread, as signals want it; with a Prefect server named, it only records."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")

    def end(changes):
        os.kill(os.getpid(), number)

    monkeypatch.setattr("flows.commands.watching.print_changes", end)
    before = signal.getsignal(number)
    code, out, err = run("watch", str(docs), "--debounce", "0.05", "-c", "birds")
    assert (code, err) == (0, "")
    assert f"Watching {docs.resolve()} for collection birds" in out
    assert "recorded only" in out
    assert out.endswith("Stopped. 1 events are pending.\n")
    assert signal.getsignal(number) is before


def test_the_command_says_what_is_wrong_with_its_folder(run, docs):
    code, _, err = run("watch", str(docs / "gone"))
    assert (code, "There is no file or folder" in err) == (2, True)
    code, _, err = run("watch", str(docs / "a.md"))
    assert (code, "is not a folder" in err) == (2, True)


def test_a_delivery_of_the_watcher_can_be_looked_up(world):
    Stage(world).run()
    (row,) = list_events(world.session.db, 1)
    assert find_delivery(world.session.db, "watch", row["delivery"]).state == "pending"


def test_the_model_is_loaded_once_for_all_runs(world):
    loads = []

    def load(card, settings, original=world.session.load_embedder):
        loads.append(card)
        return original(card, settings)

    world.session = replace(world.session, load_embedder=load_once(load))
    for text in ("A heron.", "A crane."):
        world.write("a.txt", text)
        world.ingest()
    assert len(loads) == 1
