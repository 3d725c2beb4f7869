"""Processes that hold a model each: who is free works, one that fails ends all, and none is left behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from schemas.errors import EmbeddingFailed, ModelNotAvailable
from tasks.embedding.processes import DevicePool
from tests import device_models as models

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pool():
    made = DevicePool([models.load("one"), models.load("two")])
    yield made
    made.close()
    assert children() == []


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def children():
    """Processes with a model; those that have ended and were waited for are not among them."""
    found = psutil.Process().children()
    return [child.pid for child in found if "tasks.embedding.child" in child.cmdline()]


def test_no_question_starts_no_process(pool):
    assert list(pool.devices) == ["one", "two"]
    assert not pool.is_started
    assert children() == []


def test_each_device_has_a_process_of_its_own_that_stays(pool):
    assert pool.ask_all(models.device_of) == ["one", "two"]
    pids = pool.ask_all(models.pid_of)
    assert sorted(pids) == sorted(children())
    assert pool.ask_all(models.pid_of) == pids


def test_a_device_that_is_slow_gets_less(pool, fifo):
    requests = [partial(models.stay, fifo=fifo), *[models.device_of] * 9]
    answers = pool.ask_any(requests)
    quick = [next(answers) for _ in range(9)]
    assert quick == [(number, "two") for number in range(1, 10)]
    fifo.write_bytes(b"go")
    assert list(answers) == [(0, "one")]


def test_as_many_answers_are_under_way_as_there_are_devices_and_no_more(pool):
    made = []

    def requests():
        for number in range(20):
            made.append(number)
            yield models.device_of

    given = 0
    for _ in pool.ask_any(requests()):
        given += 1
        assert len(made) == min(given + 2, 20)
    assert given == 20


def test_an_error_of_a_model_is_raised_as_it_is_and_ends_all():
    pool = DevicePool([models.load("one"), models.load_gone("two")])
    with pytest.raises(ModelNotAvailable, match="gone on two") as caught:
        pool.ask_all(models.device_of)
    assert (caught.value.advice, caught.value.facts) == ("look", {"device": "two"})
    assert children() == []


def test_a_fault_of_a_device_names_it(pool):
    with pytest.raises(
        EmbeddingFailed, match="failed on one with RuntimeError: CUDA error: an illegal"
    ) as caught:
        list(pool.ask_any([models.fault]))
    assert "much more" not in str(caught.value)
    assert caught.value.facts["device"] == "one"
    assert children() == []


@pytest.mark.parametrize(
    ("end", "how", "code"),
    [(models.kill_itself, r"was ended by signal 9 \(Killed\)", -9), (models.exit_itself, "exited with 3", 3)],
)
def test_a_process_that_dies_stops_the_run_and_the_next_one_has_others(pool, end, how, code):
    with pytest.raises(EmbeddingFailed, match=f"embeds on one {how}") as caught:
        list(pool.ask_any([end, *[models.device_of] * 5]))
    assert caught.value.facts == {"device": "one", "exit_code": code}
    assert ("Memory" in caught.value.advice) == (code == -9)
    assert children() == []
    assert pool.ask_all(models.device_of) == ["one", "two"]


def test_a_process_that_died_while_nobody_asked_is_noticed(pool):
    one, _ = pool.ask_all(models.pid_of)
    os.kill(one, signal.SIGKILL)
    os.waitid(os.P_PID, one, os.WEXITED | os.WNOWAIT)
    with pytest.raises(EmbeddingFailed, match="embeds on one was ended"):
        pool.ask_all(models.device_of)
    assert children() == []


def test_a_load_that_dies_is_told(fifo):
    with pytest.raises(EmbeddingFailed, match="embeds on one exited with 3"):
        DevicePool([models.Load("one", partial(models.exit_itself, None))]).ask_all(models.device_of)
    assert children() == []


def test_a_process_that_cannot_be_started_is_told(pool, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(EmbeddingFailed, match=r"on one cannot be started: .*No such file"):
        pool.ask_all(models.device_of)
    assert not pool.is_started


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_of_the_caller_ends_what_is_under_way(pool, error, fifo):
    with pytest.raises(error):
        for _ in pool.ask_any([partial(models.stay, fifo=fifo), models.device_of]):
            raise error
    assert children() == []


def test_a_pool_that_is_forgotten_ends_its_processes():
    pool = DevicePool([models.load("one")])
    pool.ask_all(models.device_of)
    assert len(children()) == 1
    del pool
    gc.collect()
    assert children() == []


@pytest.mark.parametrize("is_loading", [False, True], ids=["at work", "loading"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_its_parent(fifo, number, is_loading):
    """Both hold the parent's stderr: its end says that none of them is left, however it ended."""
    code = f"from tests.device_models import *; work_until_ended({str(fifo)!r}, is_loading={is_loading})"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True
    )
    with parent, fifo.open("wb"):  # opened as soon as a process reads it, and is stuck there
        end = os.killpg if number == signal.SIGINT else os.kill  # a terminal's Ctrl-C is for the group
        end(parent.pid, number)
        _, said = parent.communicate(timeout=60)
    assert parent.returncode == -number
    assert said.count(b"Traceback") == (number == signal.SIGINT), "a process told of the end, too"


def test_a_process_ends_with_the_interpreter(fifo):
    code = "from tests.device_models import *; p = DevicePool([load('one')]); p.ask_all(pid_of)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=60, check=True)
    assert done.stderr == b""
