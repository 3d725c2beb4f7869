"""Tenants are kept apart by the database, not by our queries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from registry.connection import connect_admin
from registry.dispatch import next_dispatch
from registry.events import (
    accept_delivery,
    count_events,
    drop_old_deliveries,
    find_delivery,
    list_events,
    pending_collections,
    retry_events,
)
from registry.opening import open_registry
from schemas.errors import DatabaseError
from schemas.event import Delivery, NamedChange
from tests.world import World

TEXT = "The secret of tenant one is a blue heron."


@pytest.fixture
def two_tenants(database_url, tmp_path):
    (tmp_path / "one").mkdir()
    with World.open(tmp_path / "one", database_url, tenant="one") as one:
        one.write("a.txt", TEXT)
        one.ingest()
        change = NamedChange(1, "a.txt", "changed")
        accept_delivery(one.session.db, 1, Delivery("cms", "1", bytes(32), (change,)))
        next_dispatch(one.session.db, 1, failures=0)
        with open_registry(tmp_path / "two", url=database_url, tenant="two") as two:
            yield one.session.db, two


def _tenant_tables(url):
    with connect_admin(url) as admin:
        rows = admin.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE a.attname = 'tenant_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
            "AND c.relnamespace = 'revector'::regnamespace ORDER BY 1"
        ).fetchall()
    return [name for (name,) in rows]


def test_no_table_shows_another_tenants_rows(two_tenants, database_url):
    one, two = two_tenants
    tables = _tenant_tables(database_url)
    assert {"chunk", "document", "visible", "vectors_1", "delivery", "event", "dispatch"} <= set(tables)
    seen = {}
    for table in tables:
        with one.connection() as mine, two.connection() as theirs:
            query = f"SELECT count(*) FROM {table}"
            seen[table] = (mine.execute(query).fetchone()[0], theirs.execute(query).fetchone()[0])
    assert all(theirs == 0 for _, theirs in seen.values()), seen
    for table in ("chunk", "vectors_1", "delivery", "event", "dispatch"):
        assert seen[table][0] == 1


def test_a_tenants_calls_do_not_reach_anothers_events(two_tenants):
    one, two = two_tenants
    later = datetime.now(UTC) + timedelta(days=1)
    assert find_delivery(two, "cms", "1") is None
    assert pending_collections(two, debounce_s=0, max_wait_s=0) == []
    assert list_events(two, 1) == [] == count_events(two)
    assert retry_events(two, 1) == drop_old_deliveries(two, 1, before=later) == 0
    with pytest.raises(DatabaseError):  # a delivery for another tenant's collection and source
        accept_delivery(two, 1, Delivery("cms", "2", bytes(32), (NamedChange(1, "a.txt", "deleted"),)))
    assert [event["uri"] for event in list_events(one, 1)] == ["a.txt"]
    assert [due.name for due in pending_collections(one, debounce_s=0, max_wait_s=0)] == ["default"]


def test_a_partition_cannot_be_read_by_its_own_name(two_tenants, database_url):
    for db in two_tenants:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(database_url) as raw:
            db._configure(raw)
            raw.execute("SELECT * FROM vectors_1_1")


def test_without_a_tenant_nothing_is_seen(two_tenants, database_url):
    with psycopg.connect(database_url, autocommit=True) as raw:
        raw.execute("SET search_path = revector, public")
        raw.execute("SET ROLE revector_app")
        assert raw.execute("SELECT count(*) FROM chunk").fetchone() == (0,)
        assert raw.execute("SELECT count(*) FROM document").fetchone() == (0,)


def test_a_row_cannot_be_written_for_another_tenant(two_tenants, database_url):
    _, two = two_tenants
    with psycopg.connect(database_url, autocommit=True) as raw:
        two._configure(raw)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            raw.execute("INSERT INTO collection (tenant_id, name, digest_state) VALUES (1, 'x', '')")


@pytest.mark.parametrize("call", ["keyword_hits(1, {}, 10)", "keyword_hits_as_of(1, 1, {}, 10)"])
def test_keyword_search_names_the_tenant_itself(two_tenants, call):
    one, two = two_tenants
    with one.connection() as mine, two.connection() as theirs:
        query = f"SELECT count(*) FROM {call}"
        assert mine.execute(query.format("(SELECT grams FROM chunk)")).fetchone() == (1,)
        # the grams are known to the thief, as they can be computed from any text
        stolen = mine.execute("SELECT grams FROM chunk").fetchone()[0]
        assert theirs.execute(query.format("%s"), [stolen]).fetchone() == (0,)


def test_the_same_names_in_two_tenants_do_not_meet(database_url, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with World.open(tmp_path / name, database_url, tenant=name) as tenant:
            tenant.write("a.txt", f"A text of tenant {name}.")
            assert tenant.ingest().release == 1
            assert [hit.text for hit in tenant.keyword("tenant")] == [f"A text of tenant {name}."]
            assert tenant.problems() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE embedding_space SET model = 'x'",
        "DELETE FROM embedding_space",
        "DELETE FROM schema_migration",
        "DELETE FROM tenant",
        "INSERT INTO source (tenant_id, collection_id, name, root_url) VALUES (2, 1, 'x', '/x')",
        "INSERT INTO vectors_1 SELECT 2, 1, 99, array_fill(0.1, ARRAY[384])::vector",
        "INSERT INTO vectors_1_1 SELECT 1, 1, 99, array_fill(0.1, ARRAY[384])::vector",
        "INSERT INTO vectors_1_1 SELECT 2, 1, 99, array_fill(0.1, ARRAY[384])::vector",
        "SELECT create_vector_partition(1, 1000)",
    ],
)
def test_a_tenant_cannot_write_what_others_depend_on(two_tenants, database_url, statement):
    _, two = two_tenants
    with psycopg.connect(database_url, autocommit=True) as raw:
        two._configure(raw)
        with pytest.raises(psycopg.Error):
            raw.execute(statement)


def test_a_table_of_the_callers_own_is_not_read_with_the_owners_rights(two_tenants, database_url):
    """CREATE TEMP TABLE is for all, and pg_temp comes first where a path does not name it."""
    _, two = two_tenants
    code = "vector(3) NOT NULL, PRIMARY KEY (collection_id, chunk_id)) PARTITION BY LIST (collection_id); "
    code += "CREATE TABLE public.taken_over (x int); --"
    with psycopg.connect(database_url, autocommit=True) as raw:
        two._configure(raw)
        raw.execute("CREATE TEMP TABLE embedding_space (id int, dtype text, dim int)")
        raw.execute("INSERT INTO embedding_space VALUES (77, %s, 3)", [code])
        raw.execute("CREATE TEMP TABLE collection (id int, tenant_id int)")
        raw.execute("INSERT INTO collection VALUES (1, %s)", [two.tenant_id])
        with pytest.raises(psycopg.Error, match="not of this tenant"):
            raw.execute("SELECT revector.create_vector_partition(77, 1)")
        with pytest.raises(psycopg.Error, match="not of this tenant"):
            raw.execute("SELECT revector.begin_vector_rebuild(1, 1, 200)")
        raw.execute("RESET ROLE")
        assert raw.execute("SELECT to_regclass('public.taken_over')").fetchone() == (None,)
        paths = (
            "SELECT proconfig::text FROM pg_proc WHERE prosecdef AND pronamespace = 'revector'::regnamespace"
        )
        assert all("pg_temp" in path for (path,) in raw.execute(paths))
