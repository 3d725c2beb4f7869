"""Unpacked files do not outlive the process that unpacked them for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tasks.sources.scratch import LOCK, UNLOCKED_AGE_S, Scratch

HOLDER = """
import sys, time
from pathlib import Path
from tasks.sources.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.folder / "unpacked.txt").write_text("x")
print(scratch.folder, flush=True)
time.sleep(60)
"""


def test_a_folder_is_deleted_when_it_is_closed(tmp_path):
    scratch = Scratch(tmp_path / "root")
    (scratch.folder / "deep").mkdir()
    (scratch.folder / "deep/file.txt").write_text("x")
    scratch.close()
    assert list((tmp_path / "root").iterdir()) == []


def test_a_killed_process_leaves_its_folder_to_the_next_one_and_a_living_one_keeps_it(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    folder = Path(holder.stdout.readline().strip())
    try:
        Scratch(tmp_path).close()
        assert (folder / "unpacked.txt").exists()
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    Scratch(tmp_path).close()
    assert not folder.exists()


def test_a_folder_that_is_just_being_made_is_left_alone(tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
    past = old.stat().st_mtime - UNLOCKED_AGE_S - 10
    os.utime(old, (past, past))
    scratch = Scratch(tmp_path)
    assert (new.exists(), old.exists(), (scratch.folder / LOCK).exists()) == (True, False, True)
    scratch.close()
