"""Migrations: applied once, in order, frozen by checksum."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psycopg
import pytest

import registry.migrate
from registry.connection import connect_admin
from registry.migrate import Migration, load_migrations, migrate
from registry.opening import open_registry
from registry.probes import Probe, find_probe, keep_probe
from schemas.errors import MigrationError


@pytest.fixture
def empty_url(server_url):
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrations_test")
    yield server_url.replace("/postgres?", "/migrations_test?")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE migrations_test WITH (FORCE)")


def test_migrations_are_applied_once(empty_url):
    with connect_admin(empty_url) as admin:
        assert migrate(admin) == [m.number for m in load_migrations()]
        assert migrate(admin) == []


def test_processes_that_start_together_migrate_once(empty_url):
    def start(_):
        with connect_admin(empty_url) as admin:
            return migrate(admin)

    with ThreadPoolExecutor(4) as threads:
        applied = [number for numbers in threads.map(start, range(4)) for number in numbers]
    assert applied == [m.number for m in load_migrations()]


def test_what_databases_out_there_have_applied_is_never_changed():
    """A migration joins this list when it lands; a change after that locks its users out."""
    landed = {
        "0001_initial": "a0907a3b5261084f1dc271830df3b6c390f3a7979b601ddf96b990367e436051",
        "0002_history": "9891d14a44f9dc580a6a7da6ab7ed6379be1b5dfb9bef3d3e0ff5044c287a182",
        "0003_duplicates": "160d633f10bf5b366603f1c098bdfd7496433dad2ae24b4822572cf1865702a8",
        "0004_formats": "a0e850d850a8721036d6d03b0ae742722329c5712cc274dd317c8107724bd28a",
        "0005_filters": "c98736b20aa5de0fc54f1947cc05abb1c35c5344b85d566a46f0466a52089e21",
        "0006_images": "7830a8c7412da3cf0185831e5fb2a21eaa333768b593f856a18d03a32109c217",
        "0007_events": "dc9c9fca657e77a565a5f37247e822a5d2bbbd8cda11a9a1eb40268cf25db37e",
        "0008_spaces": "5cfff0fc6621d445c46e899aa1225ae72c4c72b90d61047c1eebee4318c698b7",
        "0009_vectors": "33f6c3d34e1ca872bae854996001fb65138e5af34745b020954d599ad5f7361c",
        "0010_probes": "f147308dd2d04c30625c14ea754780f1d23cf827b536e9c9496210e0047a13b2",
    }
    folder = Path(registry.migrate.__file__).with_name("migrations")
    present = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.sql")}
    assert {name: present[name] for name in landed} == landed


def test_a_database_made_by_another_edition_of_the_same_schema_is_taken(empty_url):
    editions = {8: "e173f930", 9: "d85e0811", 10: "e9ad9c79"}
    with connect_admin(empty_url) as admin:
        migrate(admin)
        for number, checksum in registry.migrate._EDITIONS.items():
            assert checksum.startswith(editions.pop(number))
            admin.execute("UPDATE schema_migration SET checksum = %s WHERE number = %s", [checksum, number])
        assert migrate(admin) == []
        admin.execute("UPDATE schema_migration SET checksum = 'else' WHERE number = 9")
        with pytest.raises(MigrationError, match="0009 was changed"):
            migrate(admin)
    assert editions == {}


def test_a_changed_migration_is_refused(empty_url):
    with connect_admin(empty_url) as admin:
        migrate(admin)
        changed = [replace(m, body=m.body + "\n-- edited") for m in load_migrations()]
        with pytest.raises(MigrationError, match="0001 was changed"):
            migrate(admin, changed)


def test_a_schema_from_the_future_is_refused(empty_url):
    with connect_admin(empty_url) as admin:
        migrate(admin, [*load_migrations(), Migration(9999, "future", "SELECT 1")])
        with pytest.raises(MigrationError, match="9999"):
            migrate(admin)


def test_a_failing_migration_leaves_nothing_behind(empty_url):
    broken = Migration(2, "broken", "CREATE TABLE half_made (id int); SELECT 1 / 0;")
    with connect_admin(empty_url) as admin:
        with pytest.raises(MigrationError, match="0002 failed"):
            migrate(admin, [load_migrations()[0], broken])
        assert admin.execute("SELECT to_regclass('revector.half_made')").fetchone() == (None,)
        assert migrate(admin) == [m.number for m in load_migrations()]


@pytest.fixture
def plain_url(server_url):
    """An empty database whose owner is neither a superuser nor passes by policies."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain_owner LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB")
        connection.execute("CREATE DATABASE plain_test OWNER plain_owner")
    url = server_url.replace("/postgres?", "/plain_test?")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    yield url.replace("postgres:@", "plain_owner:@")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE plain_test WITH (FORCE)")
        connection.execute("DROP ROLE plain_owner")


def test_spaces_of_before_are_known_after_the_upgrade_whoever_owns_the_tables(plain_url):
    with connect_admin(plain_url) as admin:
        migrate(admin, load_migrations()[:7])
        admin.execute("INSERT INTO tenant (name) VALUES ('a'), ('b')")
        admin.execute(
            "INSERT INTO embedding_space (modality, provider, model, revision, dim, dtype, normalised, "
            "document_prompt, query_prompt, fingerprint) "
            "VALUES ('text', 'p', 'm', '1', 3, 'vector', true, '', '', 'x')"
        )
        for tenant in (1, 2):
            admin.execute("SELECT set_config('app.tenant_id', %s, false)", [str(tenant)])
            admin.execute(
                "INSERT INTO collection (tenant_id, name, digest_state) VALUES (%s, 'default', '')", [tenant]
            )
            admin.execute("SELECT create_vector_partition(1, %s)", [tenant])
        admin.execute("RESET app.tenant_id")
        migrate(admin)
        found = []
        for tenant in (1, 2):
            admin.execute("SELECT set_config('app.tenant_id', %s, false)", [str(tenant)])
            found += admin.execute(
                "SELECT tenant_id, collection_id, space_id FROM collection_space"
            ).fetchall()
        assert found == [(1, 1, 1), (2, 2, 1)]


def test_probes_of_before_are_compared_with_after_the_upgrade_and_others_lie_beside_them(empty_url, tmp_path):
    old, new = Probe(b"o" * 32, np.eye(3, dtype=np.float32)), Probe(b"n" * 32, -np.eye(3, dtype=np.float32))
    with connect_admin(empty_url) as admin:
        migrate(admin, load_migrations()[:9])
        admin.execute(
            "INSERT INTO embedding_space (modality, provider, model, revision, dim, dtype, normalised, "
            "document_prompt, query_prompt, fingerprint) "
            "VALUES ('image', 'p', 'm', '1', 3, 'vector', true, '', '', 'x')"
        )
        admin.execute(
            "INSERT INTO space_probe (space_id, probes, vectors) VALUES (1, %s, %s)",
            [old.probes, old.vectors.tobytes()],
        )
    with open_registry(tmp_path, url=empty_url, tenant="default") as db:
        keep_probe(db, 1, new)
        for probe in (old, new):
            assert np.array_equal(find_probe(db, 1, probe.probes).vectors, probe.vectors)
        with db.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM space_probe")
