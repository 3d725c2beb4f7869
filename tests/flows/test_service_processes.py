"""The processes of `revector up`: what ends them, what ends with them, what they are told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flows.service import supervising
from flows.service.children import Child, rotate
from flows.service.supervising import UpOptions, run_up
from schemas.errors import PrefectUnavailable
from schemas.settings import Settings

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9/health"
"""The port `discard`: nothing answers."""


def child(tmp_path, program):
    return Child("it", [sys.executable, "-c", program], os.environ, tmp_path, tmp_path / "it.log")


@pytest.mark.parametrize("code", [0, 3])
def test_a_child_that_ends_while_it_is_waited_for_is_named_whatever_its_exit_code(tmp_path, code):
    ended = child(tmp_path, f"raise SystemExit({code})")
    ended.start()
    ended.process.wait()
    with pytest.raises(PrefectUnavailable, match=r"It does not come up .*it\.log"):
        supervising._await(NOBODY, [ended], "It", threading.Event())


def test_whoever_waits_is_told_that_the_end_was_asked_for():
    stop = threading.Event()
    stop.set()
    assert supervising._await(NOBODY, [], "It", stop) is False


def test_a_stop_during_the_start_deploys_nothing(tmp_path, monkeypatch, database_url):
    def prepared(*_):
        raise AssertionError("it was deployed")

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(supervising, "_prepare", prepared)
    monkeypatch.setattr(supervising, "_server", lambda *_: child(tmp_path, "input()"))
    (tmp_path / "prefect.yaml").write_text("deployments: []")
    stop = threading.Event()
    stop.set()
    run_up(
        Settings(home=tmp_path / "home", database_url=database_url),
        UpOptions(tmp_path / "prefect.yaml", ui_port=0, port=0),
        stop=stop,
        announce=prepared,
    )


def test_a_worker_is_asked_to_finish_and_waited_for_before_it_is_ended(tmp_path):
    program = (
        "import signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "print('ready', flush=True)\n"
        "signal.sigwait([signal.SIGUSR1]); print('finished', flush=True)"
    )
    worker, receiver = child(tmp_path, program), child(tmp_path, "input()")
    worker.start()
    while "ready" not in worker.log_file.read_text():
        assert worker.is_running
    supervising._drain([worker], receiver, drain_s=60)
    assert worker.log_file.read_text().split() == ["ready", "finished"]
    assert worker.process.returncode == 0


def test_children_get_the_configuration_that_was_found_whatever_folder_they_run_in(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.delenv("REVECTOR_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    options, settings = UpOptions(Path("elsewhere/prefect.yaml")), Settings(home=tmp_path)
    assert "REVECTOR_CONFIG" not in supervising._environment(settings, options)
    (tmp_path / "revector.toml").write_text("")
    found = supervising._environment(settings, options)["REVECTOR_CONFIG"]
    assert found == str((tmp_path / "revector.toml").resolve())
    (tmp_path / "other.toml").write_text("")
    monkeypatch.setenv("REVECTOR_CONFIG", "other.toml")
    found = supervising._environment(settings, options)["REVECTOR_CONFIG"]
    assert found == str((tmp_path / "other.toml").resolve())


def test_a_long_log_is_kept_once_and_whoever_writes_it_goes_on_in_an_empty_one(tmp_path):
    log = tmp_path / "it.log"
    with log.open("ab", buffering=0) as output:
        output.write(b"first " * 10)
        assert not rotate(log, most_bytes=60)
        output.write(b"more ")
        assert rotate(log, most_bytes=60)
        output.write(b"second")
    assert log.read_bytes() == b"second"
    assert (tmp_path / "it.log.1").read_bytes() == b"first " * 10 + b"more "


def test_a_log_that_is_not_there_stops_nothing(tmp_path):
    assert not rotate(tmp_path / "none.log")


SERVE = """
import os, signal, sys
import flows.service.serving as serving

class Once(serving.Server):
    async def main_loop(self):
        os.kill(os.getpid(), signal.{signal})
        await super().main_loop()

serving.Server = Once
from schemas.settings import Settings
serving.serve(Settings(home=sys.argv[1], database_url=sys.argv[2], webhook=dict(
    senders=dict(cms=dict(secrets=sys.argv[3])))), host="127.0.0.1", port=0)
print("after it")
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_receiver_that_is_ended_goes_on_to_clean_up_and_exits_with_0(tmp_path, database_url, name):
    (tmp_path / "secret").write_text("a secret that only tests use, long enough\n")
    done = subprocess.run(
        [sys.executable, "-c", SERVE.format(signal=name), str(tmp_path / "home"), database_url,
         str(tmp_path / "secret")],
        cwd=ROOT, env={k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "after it\n"), done.stderr


def test_sigterm_before_the_receiver_serves_is_a_clean_end(tmp_path, monkeypatch):
    import flows.service.serving as serving

    def opened(_):
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(serving, "open_session", opened)
    try:
        with pytest.raises(SystemExit) as ended:
            serving.serve(Settings(home=tmp_path))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 0
