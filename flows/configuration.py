"""Settings from `revector.toml` and the environment. Unknown keys are errors, with a guess."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from schemas.errors import ConfigurationError
from schemas.settings import Settings

CONFIG_FILE = "revector.toml"
PREFIX = "REVECTOR_"
MACHINE_KEYS = ("home", "database_url", "tenant", "device", "precision", "log")
"""Settings that may come from the environment; it wins over the file."""


def load_settings(
    config: Path | None = None, *, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """The settings of this process; paths in the file are relative to the file.

    Args:
        config: a file that must exist; None means `REVECTOR_CONFIG`, else `revector.toml`
            in the current folder if there is one.
        environ: the environment, `os.environ` unless a test says otherwise.
        cwd: the current folder, likewise.

    Raises:
        ConfigurationError: the file is missing, malformed, or names an unknown setting.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    path = find_config(config, environ=environ, cwd=cwd)
    values = _place_paths(_read_toml(path), path.resolve().parent) if path else {}
    values |= _read_environment(environ)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as exc:
        raise ConfigurationError(_explain(exc, path), advice="See docs/CONFIGURATION.md.") from exc
    return settings.model_copy(update={"home": cwd / settings.home.expanduser()})


def find_config(config: Path | None, *, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The file that `load_settings` reads, for a process that runs in another folder; None where none is.

    Raises:
        ConfigurationError: the file that is named is missing.
    """
    named = config or (Path(environ[f"{PREFIX}CONFIG"]) if environ.get(f"{PREFIX}CONFIG") else None)
    if named is not None and not named.is_file():
        raise ConfigurationError(f"There is no configuration file {named}.", advice="Check the path.")
    if named is None:
        named = cwd / CONFIG_FILE if (cwd / CONFIG_FILE).is_file() else None
    return named


def require_prefect_file(path: Path) -> None:
    """Raise ConfigurationError where the file of deployments is not there."""
    if not path.is_file():
        raise ConfigurationError(
            f"There is no file of deployments {path}.",
            advice="Run it in the folder of prefect.yaml, or name one with --prefect-file.",
        )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"{path} is not valid TOML: {exc}.", advice="Correct that line.") from exc


def _place_paths(values: dict[str, Any], base: Path) -> dict[str, Any]:
    """Relative paths of a file start from its folder."""
    if isinstance(home := values.get("home"), str):
        values["home"] = str(base / Path(home).expanduser())
    sections = values.get("collections")
    for section in sections.values() if isinstance(sections, dict) else ():
        for part in (section, section.get("next")) if isinstance(section, dict) else ():
            if isinstance(part, dict):
                _place_model(part, base)
        gate = section.get("gate") if isinstance(section, dict) else None
        if isinstance(gate, dict) and isinstance(canaries := gate.get("canaries"), str):
            gate["canaries"] = str(base / Path(canaries).expanduser())
    endpoints = values.get("endpoints")
    for section in endpoints.values() if isinstance(endpoints, dict) else ():
        if isinstance(section, dict) and isinstance(key := section.get("key"), str):
            section["key"] = str(base / Path(key).expanduser())
        if isinstance(section, dict) and str(section.get("tokenizer", "")).startswith(("./", "../")):
            section["tokenizer"] = str(base / section["tokenizer"])
    if isinstance(webhook := values.get("webhook"), dict):
        senders = webhook.get("senders")
        for section in (webhook, *(senders.values() if isinstance(senders, dict) else ())):
            for key in ("inbox", "secrets"):
                if isinstance(section, dict) and isinstance(path := section.get(key), str):
                    section[key] = str(base / Path(path).expanduser())
    return values


def _place_model(section: dict[str, Any], base: Path) -> None:
    model = str(section.get("model", "")).removeprefix("local-dir:")
    if model.startswith(("./", "../")):
        section["model"] = str(base / model)


def _read_environment(environ: Mapping[str, str]) -> dict[str, str]:
    known = {PREFIX + key.upper(): key for key in MACHINE_KEYS}
    for name in environ:
        if name.startswith(PREFIX) and name not in known and name != f"{PREFIX}CONFIG":
            raise ConfigurationError(
                f"{name} is no setting.", advice=_guess(name, [*known, f"{PREFIX}CONFIG"])
            )
    return {key: environ[name] for name, key in known.items() if environ.get(name)}


def _explain(exc: ValidationError, path: Path | None) -> str:
    error = exc.errors()[0]
    *above, name = error["loc"]
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        guess = _guess(str(name), _fields(above))
        return f"{path or 'The configuration'} has an unknown setting {where}. {guess}"
    says = error["msg"].removeprefix("Value error, ")
    if error["type"] == "string_pattern_mismatch":
        says = f"{error['input']!r} is not understood. Give {_fields(above)[str(name)].description}"
    elif error["type"] == "model_type":
        says = f"it is a section. Write {name} = {{ {_example(error['loc'])} }}"
    return f"{path or 'The configuration'}: {where}: {says}."


def _example(section: Sequence[int | str]) -> str:
    """The first setting of a section, as a file has it."""
    name, field = next(iter(_fields(section).items()))
    is_text = str in (field.annotation, *get_args(field.annotation))
    return f'{name} = "..."' if is_text else f"{name} = ..."


def _fields(location: Sequence[int | str]) -> dict[str, FieldInfo]:
    """The settings of a section."""
    section: Any = Settings
    is_name = False  # of a collection, a sender: what stands below a table of sections
    for part in location:
        if is_name or isinstance(part, int):
            is_name = False
            continue
        annotation = section.model_fields[part].annotation
        is_name = get_origin(annotation) is dict
        section = next(one for one in (annotation, *get_args(annotation)) if hasattr(one, "model_fields"))
    return dict(section.model_fields)


def _guess(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
