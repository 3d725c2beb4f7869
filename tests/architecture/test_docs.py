"""The documents say what the code does: commands, settings, tables, tests, links, exit codes."""

from __future__ import annotations

import inspect
import re
import subprocess
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command

import schemas.errors
from flows.cli import app
from flows.configuration import MACHINE_KEYS, PREFIX, load_settings
from flows.formats import formats_markdown
from schemas.errors import DocumentError, RevectorError
from schemas.settings import CollectionSettings, Settings
from tasks.gate import load_canaries
from tasks.parsing.formats import PARSERS

ROOT = Path(__file__).parents[2]
PACKAGES = ["schemas", "registry", "tasks", "flows"]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in zip(NAMES, DOCUMENTS, strict=True)}


def _read(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def _code(text: str) -> list[str]:
    """What stands in code blocks and between backticks."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [*blocks, *re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))]


def _rows(text: str) -> Iterator[list[str]]:
    """Cells of all table rows."""
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def test_the_documents_are_there():
    wanted = {
        "README.md",
        *(f"docs/{n}.md" for n in ("ARCHITECTURE", "CONFIGURATION", "DATA_MODEL", "RUNBOOK")),
    }
    assert wanted | {"docs/ko/README.md"} <= set(NAMES)


# --- the command line --------------------------------------------------------------------


def _programs() -> dict[str, Any]:
    """Command -> what typer knows of it; of a group of commands its own, too."""
    program: Any = get_command(app)
    found = {f"revector {name}": command for name, command in program.commands.items()}
    groups = {name: group.commands for name, group in found.items() if hasattr(group, "commands")}
    inner = {f"{name} {one}": command for name, group in groups.items() for one, command in group.items()}
    return found | inner


def _options() -> Iterator[tuple[str, list[str]]]:
    """(command, spellings of one option); the program's own options belong to `revector`."""
    program: Any = get_command(app)
    for name, command in {"revector": program, **_programs()}.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                yield name, parameter.opts


def _commands() -> list[str]:
    return list(_programs())


@pytest.mark.parametrize("command", _commands())
def test_every_command_is_in_the_readmes_and_the_runbook(command):
    for document in ("README.md", "docs/RUNBOOK.md", "docs/ko/README.md"):
        assert f"`{command}" in _read(document), f"{document} does not have {command}"


@pytest.mark.parametrize(("command", "spellings"), list(_options()))
def test_every_option_is_documented_with_its_command(command, spellings):
    row = next(
        row
        for row in _rows(_read("docs/RUNBOOK.md"))
        if re.fullmatch(rf"`{command}( \[?[A-Z]+\]?(\.\.\.)?)*`", row[0])
    )
    missing = [s for s in spellings if not re.search(rf"`{s}( [A-Z]+)?`", row[1])]
    assert missing == []


def test_no_document_names_a_command_that_is_not_there():
    pattern = re.compile(r"(?:\$ |[A-Z_]+=\S+ )*revector(?: -v| --config \S+)? ([a-z]+)\b")
    known = {name.split()[1] for name in _commands()}
    lines = [
        (name, line) for name, text in TEXTS.items() for part in _code(text) for line in part.splitlines()
    ]
    wrong = {f"{name}: {line}" for name, line in lines if (m := pattern.match(line)) and m[1] not in known}
    assert wrong == set()


def test_every_make_target_named_is_there():
    targets = set(re.findall(r"^([a-z]+):", _read("Makefile"), re.MULTILINE))
    codes = [(name, part) for name, text in TEXTS.items() for part in _code(text)]
    named = {(name, target) for name, part in codes for target in re.findall(r"\bmake ([a-z]+)", part)}
    assert {pair for pair in named if pair[1] not in targets} == set()


# --- settings ----------------------------------------------------------------------------


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, its field) of all settings that are no sections."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if name == "collections":
            yield from _keys(CollectionSettings, "collections.NAME.")
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _default(field: Any) -> str:
    """The default as the table writes it."""
    if field.is_required():
        return "required"
    value = field.default
    if value is None:
        return "not set"
    if isinstance(value, tuple):
        return f"`[{', '.join(_toml(item) for item in value)}]`"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str | Path) else str(value)


@pytest.mark.parametrize(("key", "field"), list(_keys(Settings)), ids=lambda item: str(item)[:60])
def test_every_setting_is_documented_with_its_default(key, field):
    rows = {row[0]: row[1:] for row in _rows(_read("docs/CONFIGURATION.md"))}
    assert f"`{key}`" in rows
    default, meaning = rows[f"`{key}`"][:2]
    assert default == _default(field)
    assert len(meaning) > 10


def test_no_setting_is_documented_that_is_not_there():
    section = _read("docs/CONFIGURATION.md").split("## All keys")[1].split("\n## ")[0]
    documented = {row[0].strip("`") for row in _rows(section) if row[0].startswith("`")}
    assert documented == {key for key, _ in _keys(Settings)}


def test_every_environment_variable_is_documented():
    read = {f"{PREFIX}{key.upper()}" for key in MACHINE_KEYS} | {f"{PREFIX}CONFIG"}
    pattern = re.compile(
        r"""os\.environ(?:\.get\(|\[)["']([A-Z_]+)["']|^\s+"([A-Z]+_[A-Z_]+)": "[^"]*",$""", re.M
    )
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            read |= {a or b for a, b in pattern.findall(path.read_text(encoding="utf-8"))}
    assert {"REVECTOR_HOME", "PREFECT_API_URL", "HF_HUB_OFFLINE", "DO_NOT_TRACK"} <= read
    text = _read("docs/CONFIGURATION.md")
    assert {name for name in read if not re.search(rf"`{name}[`=]", text)} == set()


def test_no_environment_variable_is_documented_that_is_not_there():
    known = {f"{PREFIX}{key.upper()}" for key in MACHINE_KEYS} | {f"{PREFIX}CONFIG"}
    for path in (*DOCUMENTS, ROOT / ".env.example"):
        assert set(re.findall(rf"\b{PREFIX}[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8"))) <= known, (
            path.name
        )


def _toml_blocks() -> list[tuple[str, str]]:
    return [(name, block) for name, text in TEXTS.items() for block in _blocks(text, "toml")]


@pytest.mark.parametrize(("name", "block"), _toml_blocks(), ids=lambda item: item.split("\n")[0])
def test_toml_examples_are_valid(name, block, tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(block, encoding="utf-8")
    if block.startswith("# canaries.toml"):
        assert load_canaries(path)
    else:
        assert load_settings(path, environ={}, cwd=tmp_path)


def test_the_complete_example_has_every_key_and_the_defaults(tmp_path):
    text = _read("docs/CONFIGURATION.md").split("## A complete example")[1]
    block = _blocks(text, "toml")[0]
    values = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", block, flags=re.MULTILINE))
    given = set(_flatten(values))
    assert {key for key, _ in _keys(Settings)} - given == set()
    path = tmp_path / "revector.toml"
    path.write_text(block, encoding="utf-8")
    settings = load_settings(path, environ={}, cwd=tmp_path)
    assert settings.collection("default") == CollectionSettings()
    assert settings.limits == Settings().limits


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if prefix == "" and name == "collections":
            for collection in value.values():
                yield from _flatten(collection, "collections.NAME.")
        elif isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name
            if name == "sources":
                yield from (key for item in value for key in _flatten(item, f"{prefix}{name}."))


# --- errors ------------------------------------------------------------------------------


def _errors() -> list[type[RevectorError]]:
    found = [c for _, c in inspect.getmembers(schemas.errors, inspect.isclass)]
    return [c for c in found if issubclass(c, RevectorError)]


@pytest.mark.parametrize("error", _errors())
def test_every_error_is_in_the_runbook_under_its_exit_code(error):
    text = _read("docs/RUNBOOK.md")
    if issubclass(error, DocumentError):  # a rejection: never an exit code
        assert any(f"`{error.__name__}`" in row[0] for row in _rows(text))
        return
    codes = {row[0]: row for row in _rows(text.split("## Exit codes")[1].split("\n## ")[0])}
    assert [code for code, row in codes.items() if f"`{error.__name__}`" in row[2]] == [str(error.exit_code)]


# --- the data model ----------------------------------------------------------------------


def _tables() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "registry/migrations").glob("*.sql")]
    texts.append(_read("registry/migrate.py"))
    return {name for text in texts for name in re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", text)}


def test_the_tables_of_the_data_model_are_those_of_the_migrations():
    section = _read("docs/DATA_MODEL.md").split("## Tables")[1].split("\n## ")[0]
    documented = {row[0].strip("`") for row in _rows(section) if row[0].startswith("`")}
    assert len(_tables()) > 10
    assert documented == _tables() | {"vectors_<space>"}


def _test_names() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        found |= set(
            re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        )
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_test_named_is_there(path):
    named = set(re.findall(r"`(test_\w+)`", path.read_text(encoding="utf-8")))
    assert named - _test_names() == set()
    assert named or path.name != "DATA_MODEL.md"


def test_every_invariant_names_its_proof():
    section = _read("docs/DATA_MODEL.md").split("## Invariants")[1].split("\n## ")[0]
    rows = [row for row in _rows(section) if row[0].isdigit()]
    assert [int(row[0]) for row in rows] == list(range(1, len(rows) + 1))
    assert [row[0] for row in rows if "`test_" not in row[2] and "the check" not in row[2]] == []


# --- the folder map, links, and words ----------------------------------------------------


def test_the_folder_map_is_complete():
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    modules = {path.relative_to(ROOT).as_posix() for path in paths if path.name != "__init__.py"}
    rows = [row[0].strip("`") for row in _rows(_read("docs/ARCHITECTURE.md"))]
    mapped = {name for name in rows if name.endswith(".py")}
    assert modules - mapped == set(), "not in docs/ARCHITECTURE.md"
    assert mapped - modules == set(), "in docs/ARCHITECTURE.md, but gone"


def test_the_table_of_formats_is_the_one_that_the_code_makes():
    lines = _read("docs/FORMATS.md").splitlines()
    start = lines.index(next(line for line in lines if line.startswith("| format |")))
    table = lines[start : start + len(PARSERS) + 2]
    assert "\n".join(table) == formats_markdown()
    assert not lines[start + len(table)].startswith("|")


def _anchors(path: Path) -> set[str]:
    """Ids of headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", t).lower()).replace(" ", "-") for t in titles
    }


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_link_resolves(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in _anchors(found)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_path_named_is_there(path):
    roots = r"schemas|registry|tasks|flows|tests|benchmarks|samples|scripts|docs"
    named = re.findall(rf"`((?:{roots})/[\w./]*)`", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_shell_examples_are_valid_shell(name):
    for block in [*_blocks(TEXTS[name], "bash"), *_blocks(TEXTS[name], "sh")]:
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
