"""A server of the user's own: a plain role without special rights is enough."""

from __future__ import annotations

import psycopg
import pytest

from flows.forgetting import forget
from flows.purging import purge_collection
from registry.connection import connect_admin
from registry.migrate import migrate
from registry.opening import open_registry
from registry.purge import list_spaces
from registry.space import rebuild_partition
from schemas.errors import ConfigurationError, DatabaseUnavailable, MigrationError
from tests.world import World


@pytest.fixture
def plain_url(server_url):
    """A database owned by a role that is no superuser and may not create roles."""
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE plain LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB")
        admin.execute("CREATE DATABASE plain OWNER plain")
    url = server_url.replace("postgres:@/postgres?", "plain:@/plain?")
    yield url
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute("DROP DATABASE plain WITH (FORCE)")
        admin.execute("DROP ROLE plain")


def _create_extension(server_url):
    with psycopg.connect(server_url.replace("/postgres?", "/plain?"), autocommit=True) as admin:
        admin.execute("CREATE EXTENSION IF NOT EXISTS vector")


def test_a_plain_owner_can_do_everything(plain_url, server_url, tmp_path):
    _create_extension(server_url)
    with World.open(tmp_path, plain_url) as world:
        world.write("a.txt", "A heron on a plain server.")
        assert world.ingest().release == 1
        world.write("a.txt", "A stork on a plain server.")
        assert world.ingest().release == 2
        assert [hit.text for hit in world.keyword("plain")] == ["A stork on a plain server."]
        assert [hit.text for hit in world.vector("stork")] == ["A stork on a plain server."]
        assert world.problems() == []


def test_a_plain_owner_can_purge_rebuild_and_forget(plain_url, server_url, tmp_path):
    _create_extension(server_url)
    settings = {"default": {"retention": {"keep_versions": 0, "keep_days": 0, "grace_hours": 0}}}
    with World.open(tmp_path, plain_url, collections=settings) as world:
        for state in ("first", "second"):
            world.write("a.txt", f"The {state} heron.")
            world.write("b.txt", f"The {state} stork.")
            world.ingest()
        report = purge_collection(world.session, "default")
        assert (report["versions"]["dropped"], report["vectors"]) == (2, 2)
        assert rebuild_partition(world.session.db, 1, list_spaces(world.session.db, 1)[0])
        forget(world.session, "b.txt", "default")
        assert [hit.text for hit in world.vector("heron")] == ["The second heron."]
        assert world.problems() == []


def test_a_plain_owner_sees_one_tenant_only(plain_url, server_url, tmp_path):
    _create_extension(server_url)
    with World.open(tmp_path, plain_url, tenant="one") as world:
        world.write("a.txt", "The text of tenant one.")
        world.ingest()
    with open_registry(tmp_path / "home", url=plain_url, tenant="two") as db, db.connection() as connection:
        for table in ("chunk", "document", "visible", "vectors_1"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_user_without_rights_is_told_what_is_missing(plain_url, server_url):
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute("ALTER DATABASE plain OWNER TO postgres")
    with (
        connect_admin(plain_url) as connection,
        pytest.raises(MigrationError, match="CREATE EXTENSION vector"),
    ):
        migrate(connection)


def test_a_wrong_password_or_address_fails_fast_without_showing_the_password(tmp_path):
    url = "postgresql://someone:very-secret@127.0.0.1:9/nothing"
    with pytest.raises(DatabaseUnavailable) as error, open_registry(tmp_path, url=url, tenant="default"):
        pass
    assert "very-secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    ["postgresql//bob:very-secret@h/db", "mysql://bob:very-secret@h/db", "postgres://bob:very%ZZsecret@h/db"],
)
def test_a_malformed_url_is_refused_without_repeating_it(tmp_path, url):
    with pytest.raises(ConfigurationError) as error, open_registry(tmp_path, url=url, tenant="default"):
        pass
    assert "secret" not in str(error.value)
    assert "postgresql://USER" in str(error.value)


def test_a_role_that_may_create_roles_can_open(server_url, tmp_path):
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE creator LOGIN NOSUPERUSER CREATEROLE")
        admin.execute("CREATE DATABASE created OWNER creator")
    with psycopg.connect(server_url.replace("/postgres?", "/created?"), autocommit=True) as admin:
        admin.execute("CREATE EXTENSION vector")
    try:
        with World.open(tmp_path, server_url.replace("postgres:@/postgres?", "creator:@/created?")) as world:
            world.write("a.txt", "A heron.")
            assert world.ingest().release == 1
    finally:
        with psycopg.connect(server_url, autocommit=True) as admin:
            admin.execute("DROP DATABASE created WITH (FORCE)")
            admin.execute("DROP ROLE creator")
