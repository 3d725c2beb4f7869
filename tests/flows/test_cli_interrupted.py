"""Ctrl-C, with real processes and a real signal: who interrupts is told what becomes of what was done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.embedding_server import EmbeddingServer

ROOT = Path(__file__).parents[2]
WAIT_S = 60
SAYS = "Interrupted. What was stored stays: run the same command again."


@pytest.fixture
def call(database_url, tmp_path):
    """Calls `revector` as a process; with an event, it is interrupted when it asks for its first vectors."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("Storks nest on chimneys.")
    proxies = {"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "PREFECT_API_URL"}
    environment = {
        **{name: value for name, value in os.environ.items() if name not in proxies},
        "PYTHONPATH": str(ROOT),
        "REVECTOR_HOME": str(tmp_path / "home"),
        "REVECTOR_DATABASE_URL": database_url,
    }

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *arguments],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    with EmbeddingServer().running() as server:
        _configure(tmp_path, server)

        def run(*arguments, interrupted=False):
            started, ended = threading.Event(), threading.Event()

            def interrupt(_):
                assert started.wait(WAIT_S)
                process.send_signal(signal.SIGINT)
                ended.wait(WAIT_S)

            server.before = interrupt if interrupted else lambda _: None
            process = start(*arguments)
            started.set()
            try:
                out, err = process.communicate(timeout=WAIT_S)
            finally:
                ended.set()
                process.kill()
            return process.returncode, out, err

        yield run


def _configure(folder, server):
    section = f'url = "{server.url}"\nmodel = "served"\ndim = {server.dim}\nmax_tokens = 256\n'
    (folder / "revector.toml").write_text(
        '[collections.default]\nmodel = "endpoint:old"\nnext = { model = "endpoint:new" }\n'
        f'[endpoints.old]\nrevision = "r1"\n{section}[endpoints.new]\nrevision = "r2"\n{section}'
    )


def test_an_interrupted_ingest_answers_in_json_too(call):
    code, out, err = call("ingest", "docs", "--json", interrupted=True)
    assert (code, err.splitlines()[-1]) == (130, SAYS)
    error = json.loads(out)["error"]
    assert f"{error['message']} {error['advice']}" == SAYS


def test_an_interrupted_reembed_says_so_and_the_same_command_completes_it(call):
    assert call("ingest", "docs")[0] == 0
    code, out, err = call("reembed", interrupted=True)
    assert (code, out, err.splitlines()[-1]) == (130, "", SAYS)
    code, out, err = call("reembed")
    assert code == 0, err
    assert "1 shown: 1 embedded" in out
