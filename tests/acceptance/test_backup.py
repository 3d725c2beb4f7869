"""A backup that is taken while runs write is restored whole, somewhere else; a damaged one is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest

from registry.collections import get_collection
from schemas.settings import Settings
from tests.world import World

ROOT = Path(__file__).parents[2]


def run(script: str, folder: Path, home: Path, url: str | None) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("REVECTOR_", "PREFECT_"))}
    environment = {**clean, "REVECTOR_HOME": str(home)} | ({"REVECTOR_DATABASE_URL": url} if url else {})
    return subprocess.run(
        [str(ROOT / "scripts" / script), str(folder)],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture
def empty_database(server_url):
    """The URL of a database with nothing in it."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    yield server_url.replace("/postgres?", "/restored?")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE restored WITH (FORCE)")


def write_birds(world: World, names: list[str], verse: str = "one") -> None:
    for name in names:
        world.write(f"{name}.txt", f"A text about the {name}, which lives at the lake. Verse {verse}.")


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_backup_beside_runs_is_restored_sound_and_finds_the_same(
    world, tmp_path, database_url, empty_database
):
    write_birds(world, ["heron", "stork", "crane"])
    world.ingest()
    inbox = tmp_path / "home" / "inbox" / "hr"
    inbox.mkdir(parents=True)
    (inbox / "이력서 \\n.txt").write_text("An upload.")
    stop = threading.Event()
    rounds: list[int] = []

    def keep_ingesting() -> None:
        while not stop.is_set():
            write_birds(world, [f"bird{len(rounds)}", "stork"], verse=str(len(rounds)))
            world.ingest()
            rounds.append(1)

    writer = threading.Thread(target=keep_ingesting)
    writer.start()
    try:
        done = run("backup.sh", tmp_path / "backup", tmp_path / "home", database_url)
    finally:
        stop.set()
        writer.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert rounds  # something was written meanwhile
    restored = run("restore.sh", tmp_path / "backup", tmp_path / "new", empty_database)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "0 with problems" in restored.stdout
    assert (tmp_path / "new" / "inbox" / "hr" / "이력서 \\n.txt").read_text() == "An upload."
    (tmp_path / "other").mkdir()
    shutil.copytree(tmp_path / "new", tmp_path / "other" / "home")
    with World.open(tmp_path / "other", empty_database) as copy:
        assert copy.problems() == []
        latest = max(release.number for release in copy.releases())
        known = {release.number: release for release in world.releases()}
        mine = {release.number: release for release in copy.releases()}
        assert mine[latest].digest == known[latest].digest
        assert [hit.uri for hit in copy.keyword("heron", k=1)] == ["heron.txt"]
        found = get_collection(copy.session.db, "default")
        assert found.current_release == latest


def test_a_backup_of_a_quiet_registry_gives_the_same_answers(world, tmp_path, database_url, empty_database):
    write_birds(world, ["heron", "stork", "crane"])
    world.ingest()
    asked = ["heron", "stork at the lake"]
    before = [[(hit.uri, hit.score) for hit in world.keyword(text)] for text in asked]
    assert run("backup.sh", tmp_path / "backup", tmp_path / "home", database_url).returncode == 0
    base = tmp_path / "other"
    base.mkdir()
    assert run("restore.sh", tmp_path / "backup", base / "home", empty_database).returncode == 0
    with World.open(base, empty_database) as copy:
        assert [[(hit.uri, hit.score) for hit in copy.keyword(text)] for text in asked] == before
        assert files_below(base / "home" / "blobs") == files_below(tmp_path / "home" / "blobs")
        assert copy.releases()[0].digest == world.releases()[0].digest
        assert copy.ingest(world.folder).state == "unchanged"


@pytest.fixture
def backup(world, tmp_path, database_url):
    write_birds(world, ["heron", "stork"])
    world.ingest()
    done = run("backup.sh", tmp_path / "backup", tmp_path / "home", database_url)
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path / "backup"


def damage_a_raw_file(folder: Path) -> None:
    next(path for path in (folder / "blobs").rglob("*") if path.is_file()).write_bytes(b"other")


def lose_a_raw_file(folder: Path) -> None:
    next(path for path in (folder / "blobs").rglob("*") if path.is_file()).unlink()


def cut_the_dump(folder: Path) -> None:
    dump = folder / "database.dump"
    dump.write_bytes(dump.read_bytes()[:-100])


def lose_the_manifest(folder: Path) -> None:
    (folder / "MANIFEST.sha256").unlink()


def cut_the_manifest(folder: Path) -> None:
    lines = (folder / "MANIFEST.sha256").read_text().splitlines(keepends=True)
    (folder / "MANIFEST.sha256").write_text("".join(line for line in lines if "blobs/" not in line))


def climb_out(folder: Path) -> None:
    with (folder / "MANIFEST.sha256").open("a") as manifest:
        manifest.write("0" * 64 + "  ../../etc/passwd\n")


@pytest.mark.parametrize(
    "damage",
    [damage_a_raw_file, lose_a_raw_file, cut_the_dump, lose_the_manifest, cut_the_manifest, climb_out],
)
def test_a_damaged_backup_is_refused_before_anything_is_written(backup, tmp_path, empty_database, damage):
    damage(backup)
    done = run("restore.sh", backup, tmp_path / "new", empty_database)
    assert (done.returncode, "Not restored" in done.stdout) == (1, True), done.stdout + done.stderr
    assert not (tmp_path / "new").exists()
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT FROM pg_namespace WHERE nspname = 'revector'").fetchone() is None


@pytest.fixture
def plain_databases(server_url):
    """Two databases as deploy/postgres makes them: the owner is a plain role, extensions were made for it."""
    names = ("plain_one", "plain_two")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN NOSUPERUSER NOBYPASSRLS")
        connection.execute("GRANT revector_app TO plain")
        for name in names:
            connection.execute(f"CREATE DATABASE {name} OWNER plain")
    urls = [server_url.replace("/postgres?", f"/{name}?") for name in names]
    for url in urls:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector SCHEMA public")
    yield [(url, url.replace("postgres:@", "plain:@")) for url in urls]
    with psycopg.connect(server_url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        connection.execute("DROP OWNED BY plain")
        connection.execute("DROP ROLE plain")


def test_in_containers_a_superuser_dumps_and_the_owner_restores(tmp_path, plain_databases):
    (admin, owner), (_, new_owner) = plain_databases
    with World.open(tmp_path, owner) as world:
        write_birds(world, ["heron", "stork"])
        world.ingest()
        refused = run("backup.sh", tmp_path / "refused", tmp_path / "home", owner)
        assert (refused.returncode, "BYPASSRLS" in refused.stdout) == (1, True), refused.stdout
        done = run("backup.sh", tmp_path / "backup", tmp_path / "home", admin)
        assert done.returncode == 0, done.stdout + done.stderr
    base = tmp_path / "other"
    base.mkdir()
    done = run("restore.sh", tmp_path / "backup", base / "home", new_owner)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 collections checked, 0 with problems" in done.stdout
    with World.open(base, new_owner) as copy:
        assert copy.keyword("heron", k=1)[0].uri == "heron.txt"
        assert copy.ingest(tmp_path / "docs").state == "unchanged"
        assert copy.problems() == []


def test_a_dump_that_does_not_fit_leaves_the_place_empty(backup, tmp_path, plain_databases):
    """Here: the extension lies in another schema, and the role may not make it anew."""
    (_, owner), _ = plain_databases
    done = run("restore.sh", backup, tmp_path / "new", owner)
    assert (done.returncode, "another schema" in done.stdout) == (1, True), done.stdout
    assert files_below(tmp_path / "new") == {}
    with psycopg.connect(owner) as connection:
        assert connection.execute("SELECT FROM pg_namespace WHERE nspname = 'revector'").fetchone() is None


def test_nothing_is_restored_over_what_is_there(backup, tmp_path, database_url, empty_database):
    before = files_below(tmp_path / "home")
    done = run("restore.sh", backup, tmp_path / "home", empty_database)
    assert (done.returncode, "holds something" in done.stdout) == (1, True)
    assert files_below(tmp_path / "home") == before
    done = run("restore.sh", backup, tmp_path / "new", database_url)
    assert (done.returncode, "schema 'revector' already" in done.stdout) == (1, True)
    assert not (tmp_path / "new" / "blobs").exists()


def test_nothing_is_backed_up_over_what_is_there(backup, tmp_path, database_url):
    before = files_below(backup)
    done = run("backup.sh", backup, tmp_path / "home", database_url)
    assert (done.returncode, "holds something" in done.stdout) == (1, True)
    assert files_below(backup) == before


def test_a_raw_file_that_was_lost_before_is_told_and_the_rest_is_backed_up(world, tmp_path, database_url):
    write_birds(world, ["heron", "stork"])
    world.ingest()
    lost = next(path for path in (tmp_path / "home" / "blobs").rglob("*") if path.is_file())
    body = lost.read_bytes()
    lost.unlink()
    done = run("backup.sh", tmp_path / "backup", tmp_path / "home", database_url)
    assert (done.returncode, "1 raw files" in done.stdout) == (3, True)
    lost.write_bytes(body)


def test_the_password_is_in_a_file_of_this_user_alone_while_the_tools_run(
    monkeypatch, tmp_path, database_url
):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    from database_tools import open_tools

    url = database_url.replace("postgres:@", "postgres:hunter2@")
    assert "hunter2" in url
    with open_tools(Settings(home=tmp_path, database_url=url)) as tools:
        file = Path(tools.environment["PGSERVICEFILE"])
        assert "password=hunter2" in file.read_text()
        assert file.stat().st_mode & 0o077 == 0
        assert "hunter2" not in str(tools.environment)
        tools.run("psql", "--command=SELECT 1", "--dbname=service=revector")
    assert not file.exists()


def test_files_written_and_dropped_between_copy_and_dump_lead_to_another_dump(monkeypatch, tmp_path):
    """A purge beside the backup may drop what no copy has seen and the dump still needs."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import backup

    kept = hashlib.sha256(b"kept").hexdigest()
    blobs = tmp_path / "blobs" / "1" / kept[:2]
    blobs.mkdir(parents=True)
    (blobs / kept).write_bytes(b"kept")
    dumps = [{f"blobs/1/{kept[:2]}/{kept}", "blobs/1/00/" + "0" * 64}, {f"blobs/1/{kept[:2]}/{kept}"}]
    monkeypatch.setattr(backup, "_dump", lambda tools, target: dumps.pop(0))
    copied: dict[str, str] = {}
    assert backup._copy_consistently(None, tmp_path / "blobs", tmp_path / "target", copied) == []
    assert (dumps, list(copied)) == ([], [f"blobs/1/{kept[:2]}/{kept}"])


def test_the_embedded_database_is_backed_up_and_restored(open_folder):
    base = open_folder / "backup-of-embedded"
    base.mkdir()
    with World.open(base, None) as world:  # type: ignore[arg-type]
        write_birds(world, ["heron", "stork"])
        world.ingest()
        done = run("backup.sh", base / "backup", base / "home", None)
        assert done.returncode == 0, done.stdout + done.stderr
        digest = world.releases()[0].digest
    restored = run("restore.sh", base / "backup", base / "new" / "home", None)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    with World.open(base / "new", None) as copy:  # type: ignore[arg-type]
        assert copy.releases()[0].digest == digest
        assert copy.problems() == []
