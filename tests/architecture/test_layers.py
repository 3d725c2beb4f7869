"""Imports run one way, and heavy libraries are imported by those who need them only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ["schemas", "registry", "tasks", "flows"]
HEAVY = [
    "torch",
    "sentence_transformers",
    "transformers",
    "pandas",
    "prefect",
    "unstructured",
    "fsspec",
    "lxml",
    "numba",
    "datasketch",
    "PIL",
    "imagehash",
    "open_clip",
    "timm",
    "torchvision",
    "matplotlib",
    "pi_heif",
]
MAX_LINES = 300
EVERYBODYS = {"/", "/tmp/", "/app/", "/home/", "/opt/", "/srv/", "/var/", "/usr/"}


def _modules(package):
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", LAYERS)
def test_nothing_imports_a_layer_above(package):
    above = set(LAYERS[LAYERS.index(package) + 1 :]) | {"tests", "benchmarks"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _modules(package)
        for name in _imports(path)
        if name in above
    ]
    assert wrong == []


def test_sql_drivers_are_used_by_the_registry_alone():
    users = {path.parts[-2] for package in ("schemas", "tasks", "flows") for path in _modules(package)
             if {"psycopg", "psycopg_pool", "pgvector"} & set(_imports(path))}  # fmt: skip
    assert users == set()


def test_prefect_appears_in_the_flows_and_one_file_of_tasks():
    users = [path.relative_to(ROOT).as_posix() for package in ("schemas", "registry", "tasks")
             for path in _modules(package) if "prefect" in set(_imports(path))]  # fmt: skip
    assert users == ["tasks/steps.py"]


def test_schemas_do_no_io():
    forbidden = {"os", "socket", "subprocess", "time", "random", "threading", "shutil", "tempfile", "uuid"}
    used = {f"{p.name}: {name}" for p in _modules("schemas") for name in _imports(p) if name in forbidden}
    assert used == set()


@pytest.mark.parametrize(
    "module", ["flows.cli", "flows.pipeline", "tasks.batch", "flows.searching", "flows.output"]
)
def test_a_command_that_does_nothing_heavy_imports_nothing_heavy(module):
    script = f"import sys, {module}; print(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == ""


def test_telemetry_is_off_before_any_library_is_imported():
    script = (
        "import os, flows; print(os.environ['DO_NOT_TRACK'], os.environ['PREFECT_SERVER_ANALYTICS_ENABLED'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={},
        timeout=60,
    )
    assert done.stdout.split() == ["1", "false"]


def test_files_are_short():
    long = {path.relative_to(ROOT).as_posix(): count for package in LAYERS for path in _modules(package)
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES}  # fmt: skip
    assert long == {}


def test_the_repository_names_no_address_and_no_machine():
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=False)
    names = [name for name in tracked.stdout.split("\0") if name]
    if not names:  # an unpacked archive has no list of tracked files
        names = [p.relative_to(ROOT).as_posix() for package in LAYERS for p in _modules(package)]
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in constraints
    assert " @ " not in constraints
    home = str(ROOT.parent) + "/"
    if home in EVERYBODYS:  # a clone in such a folder says nothing about this machine
        home = str(ROOT) + "/"
    assert [n for n in names if (ROOT / n).suffix in {".py", ".md", ".toml", ".sh", ".txt"} and len(home) > 2
            and home in (ROOT / n).read_text(encoding="utf-8", errors="replace")] == []  # fmt: skip
