"""The containers: what can be held of them without an engine. None was started where this was written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from flows.cli import app
from flows.configuration import load_settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
ENDS_BY_ITSELF = {"setup", "backup", "restore"}
"""Nothing waits for them to be healthy: they are waited for, or are started by hand."""

SECRET = re.compile(r"password|secret|token|access_key|://[^/\s]*:[^/\s]*@", re.IGNORECASE)
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands} | {
    group.name for group in app.registered_groups
}
each_service = pytest.mark.parametrize("name", SERVICES)


def compose_commands() -> list[list[str]]:
    """Those that are installed: for `config` neither the plugin nor the old program needs an engine."""
    found = []
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "version"], capture_output=True, check=False)
            found += [command] if done.returncode == 0 else []
    return found


@pytest.mark.parametrize("profile", ["cpu", "gpu", "backup", "restore"])
def test_compose_takes_the_file(profile, tmp_path):
    commands = compose_commands()
    if not commands:
        pytest.skip("no docker compose here; the form is held by the other tests alone")
    for command in commands:
        done = subprocess.run(
            [*command, "--file", "docker-compose.yml", "config", "--quiet"],
            cwd=ROOT, env={**os.environ, "COMPOSE_PROFILES": profile},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@each_service
def test_a_service_can_do_no_more_than_it_must(name):
    service = SERVICES[name]
    user = service["user"].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    assert "docker.sock" not in json.dumps(service)
    assert service["init"] is True


@each_service
def test_a_service_cannot_eat_the_machine(name):
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["pids_limit"] > 0
    assert service["logging"]["options"].keys() >= {"max-size", "max-file"}
    assert all("size=" in mount for mount in service["tmpfs"] if mount.startswith("/tmp"))


@each_service
def test_a_service_is_looked_after(name):
    service = SERVICES[name]
    if name in ENDS_BY_ITSELF:
        assert service["restart"] == "no"
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["stop_grace_period"]


@each_service
def test_images_are_pinned(name):
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert re.search(r"\d+\.\d+", tag), f"{image} has no version"


def test_the_image_starts_from_a_pinned_one_and_has_the_projects_version():
    starts = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(starts) == 2
    assert all(re.fullmatch(r"python:3\.12-slim-\w+", start) for start in starts)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert built == {f"revector:{version}"}


@each_service
def test_no_secret_is_in_environment_command_or_labels(name):
    service = SERVICES[name]
    for key, value in service.get("environment", {}).items():
        if SECRET.search(f"{key}={value}"):
            assert key.endswith("_FILE")
            assert str(value).startswith("/run/secrets/")
    for part in ("command", "entrypoint", "labels"):
        assert not SECRET.search(json.dumps(service.get(part, "")))


@each_service
def test_a_file_of_secrets_that_is_named_is_given(name):
    service = SERVICES[name]
    named = re.findall(r"/run/secrets/(\w+)", json.dumps(service.get("environment", {})))
    if "./deploy/revector.toml:/etc/revector/revector.toml:ro" in service.get("volumes", []):
        named += re.findall(r"/run/secrets/(\w+)", (ROOT / "deploy/revector.toml").read_text())
    missing = set(named) - set(service["secrets"])
    # without its file a program that does not use it still works
    assert missing <= ({"aws_credentials"} if name in ENDS_BY_ITSELF else set())
    assert set(service["secrets"]) <= COMPOSE["secrets"].keys()


def test_secrets_are_files_that_are_made_and_never_kept_in_git_or_an_image():
    made = (ROOT / "deploy/make-secrets.sh").read_text()
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./deploy/secrets/{name}"}
        assert name in made
    assert "deploy/secrets" in (ROOT / ".dockerignore").read_text().split()
    ignored = subprocess.run(
        ["git", "check-ignore", "deploy/secrets/x"], cwd=ROOT, check=False, capture_output=True
    )
    assert ignored.returncode == 0


def test_only_this_machine_reaches_what_is_published_and_the_database_is_not():
    published = {name: service["ports"] for name, service in SERVICES.items() if service.get("ports")}
    assert published.keys() == {"prefect", "receiver"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert SERVICES["postgres"]["networks"] == ["database"]
    assert COMPOSE["networks"]["database"] == {"internal": True}


@each_service
def test_what_a_service_runs_is_there(name):
    service = SERVICES[name]
    for words in (service.get("command", []), service.get("entrypoint", [])):
        for path in (word for word in words if str(word).startswith("/app/")):
            file = ROOT / path.removeprefix("/app/")
            assert os.access(file, os.X_OK), f"{file} cannot be run"
        if words[:1] == ["revector"]:
            assert words[1] in COMMANDS


@each_service
def test_what_it_waits_for_is_there_and_can_come_true(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        awaited = SERVICES[other]
        assert "profiles" not in awaited
        if how["condition"] == "service_healthy":
            assert "test" in awaited["healthcheck"]
        else:
            assert awaited["restart"] == "no"


@each_service
def test_mounts_and_environment_fit(name):
    service = SERVICES[name]
    targets = {}
    for mount in service.get("volumes", []):
        source, target, *mode = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")
        targets[target] = mode
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert mode == ["ro"]
        else:
            assert source in COMPOSE["volumes"]
    environment = service.get("environment", {})
    for key in ("REVECTOR_HOME", "HF_HOME"):
        if key in environment and targets and not (name in ENDS_BY_ITSELF and key == "HF_HOME"):
            assert environment[key] in targets
    if "REVECTOR_CONFIG" in environment:
        assert environment["REVECTOR_CONFIG"] in targets


def test_all_of_the_image_that_is_written_to_is_a_volume_or_in_memory():
    written = set(re.findall(r"\w+=(/tmp/\S+|/var/lib/revector/\S+)", DOCKERFILE))
    mounts = " ".join(SERVICES["receiver"]["volumes"])
    assert {path for path in written if not path.startswith("/tmp/") and f":{path}" not in mounts} == set()
    owned = re.search(r"install -d -o 10001.*?\n\n?COPY", DOCKERFILE, re.DOTALL)
    assert owned is not None
    for target in (
        "/var/lib/revector/home",
        "/var/lib/revector/home/inbox",
        "/var/lib/revector/models",
        "/backups",
    ):
        assert target in owned[0]


def test_the_configuration_of_the_containers_is_valid(tmp_path):
    settings = load_settings(ROOT / "deploy/revector.toml", environ={}, cwd=tmp_path)
    assert settings.webhook.host == "0.0.0.0"
    assert [str(sender.secrets) for sender in settings.webhook.senders.values()] == [
        "/run/secrets/webhook_cms"
    ]
    assert str(settings.webhook.port) in SERVICES["receiver"]["command"]


def test_every_pool_of_the_deployments_has_a_worker_with_and_without_a_gpu():
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    pools = {deployment["work_pool"]["name"] for deployment in deployments}
    for profile in ("cpu", "gpu"):
        served = {
            words[words.index("--pool") + 1]
            for service in SERVICES.values()
            if "--pool" in (words := service.get("command", []))
            and profile in service.get("profiles", [profile])
        }
        assert pools <= served


def test_the_build_copies_what_is_there_and_is_not_left_out():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert source.split("/")[0] in allowed
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    for package in {name.split(".")[0] for name in packages}:
        assert f"COPY {package} {package}" in DOCKERFILE


def test_signals_reach_the_command():
    assert re.search(r'^ENTRYPOINT \["', DOCKERFILE, re.MULTILINE)
    assert re.search(r'^CMD \["', DOCKERFILE, re.MULTILINE)
    assert (ROOT / "deploy/entrypoint.sh").read_text().rstrip().endswith('exec "$@"')
    assert re.search(r"^USER [1-9]", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize(
    ("kind", "variable", "start"),
    [("revector", "REVECTOR_DATABASE_URL", "postgresql://"),
     ("prefect", "PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://")],
)  # fmt: skip
def test_the_entrypoint_makes_the_url_from_the_file(tmp_path, kind, variable, start):
    (tmp_path / "password").write_text("p@ss/w:rd %한\n")
    place = {"DATABASE_HOST": "postgres", "DATABASE_NAME": "db", "DATABASE_USER": "me"}
    place |= {"DATABASE_FOR": kind, "DATABASE_PASSWORD_FILE": str(tmp_path / "password")}
    done = subprocess.run(
        [str(ROOT / "deploy/entrypoint.sh"), "printenv", variable],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **place},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == f"{start}me:p%40ss%2Fw%3Ard%20%25%ED%95%9C@postgres:5432/db"


def test_the_entrypoint_says_which_file_cannot_be_read(tmp_path):
    done = subprocess.run(
        [str(ROOT / "deploy/entrypoint.sh"), "true"],
        env={"PATH": os.environ["PATH"], "DATABASE_FOR": "revector",
             "DATABASE_PASSWORD_FILE": str(tmp_path / "no")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "no cannot be read" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "unit", sorted((ROOT / "deploy/systemd").glob("*.[st]*e*r*")), ids=lambda path: path.name
)
def test_systemd_takes_the_units(unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd here")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    said = [
        line for line in done.stderr.splitlines() if "is not executable" not in line and unit.name in line
    ]
    assert said == []


@pytest.mark.parametrize("script", sorted(ROOT.glob("deploy/**/*.sh")), ids=lambda path: path.name)
def test_scripts_are_scripts(script):
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    assert subprocess.run([shell, "-n", str(script)], check=False).returncode == 0
    assert os.access(script, os.X_OK)
