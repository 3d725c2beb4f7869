"""Readers without revector: the views, and a login that reads one tenant."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import psycopg
import pytest

from registry.opening import open_registry
from registry.search import format_vector
from tests.releases import fill_releases
from tests.texts import english_text
from tests.world import World

TEXT = (Path(__file__).parents[2] / "docs/DATA_MODEL.md").read_text(encoding="utf-8")
RECIPE, EXAMPLE = re.findall(r"^```sql\n(.*?)^```", TEXT.split("## For other readers")[1], re.M | re.S)[:2]
READER = "revector_reader_1"


@pytest.fixture
def two_tenants(database_url, tmp_path):
    """Tenant 1 with two releases of three documents; tenant 2 with one document."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with World.open(tmp_path / "one", database_url, tenant="one") as one:
        one.write("gone.txt", "A document that is retired.")
        one.write("a.txt", english_text(30, seed=1))
        one.write("copy.txt", english_text(30, seed=1))
        one.ingest()
        (one.folder / "gone.txt").unlink()
        one.write("b.txt", "The secret of tenant one is a blue heron.")
        one.ingest()
        with World.open(tmp_path / "two", database_url, tenant="two") as two:
            two.write("b.txt", "The secret of tenant two is a white stork.")
            two.ingest()
            yield one, two
            assert one.problems() == two.problems() == []


@pytest.fixture
def login(server_url, database_url):
    """Connects as a role, and removes the roles in the end."""
    made = set()

    def connect(name):
        made.add(name)
        return psycopg.connect(database_url.replace("postgres:@", f"{name}:@"), autocommit=True)

    yield connect
    with psycopg.connect(database_url, autocommit=True) as admin:
        for name in made:
            admin.execute(f"DROP OWNED BY {name}")
            admin.execute(f"DROP ROLE {name}")


def _as_owner(url, statements):
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(statements)


def _rows(connection, query, *values):
    return connection.execute(query, values).fetchall()


def test_the_views_show_what_search_can_find(two_tenants):
    one, _ = two_tenants
    with one.session.db.connection() as connection:
        visible = _rows(connection, "SELECT chunk_id FROM visible ORDER BY 1")
        assert _rows(connection, "SELECT chunk_id FROM current_chunks_1 ORDER BY 1") == visible
        assert _rows(connection, "SELECT DISTINCT chunk_id FROM current_places ORDER BY 1") == visible
        refs = "SELECT chunk_id, refs FROM visible ORDER BY 1"
        places = "SELECT chunk_id, count(*)::int FROM current_places GROUP BY 1 ORDER BY 1"
        assert _rows(connection, places) == _rows(connection, refs)
        uris = _rows(connection, "SELECT DISTINCT collection, release, uri FROM current_places ORDER BY 3")
        assert uris == [("default", 2, "a.txt"), ("default", 2, "b.txt")]
        duplicates = _rows(
            connection, "SELECT uri, winner, rule, similarity, suppressed FROM current_duplicates"
        )
        assert duplicates == [("copy.txt", "a.txt", "uri", 1.0, True)]
        text = _rows(connection, "SELECT text, release FROM current_chunks_1 WHERE text LIKE %s", "%secret%")
        assert text == [("The secret of tenant one is a blue heron.", 2)]


def test_the_views_show_no_other_tenant(two_tenants, database_url):
    counts = "SELECT (SELECT count(*) FROM current_chunks_1), (SELECT count(*) FROM current_places)"
    _, two = two_tenants
    with two.session.db.connection() as connection:
        assert connection.execute(counts).fetchone() == (1, 1)
    with psycopg.connect(database_url, autocommit=True) as raw:
        raw.execute("SET search_path = revector, public")
        raw.execute("SET ROLE revector_app")
        assert raw.execute(counts).fetchone() == (0, 0)


def test_the_recipe_for_readers_works_as_documented(two_tenants, database_url, login):
    one, _ = two_tenants
    _as_owner(database_url, RECIPE)
    with login(READER) as reader:
        rows = _run(reader, EXAMPLE)
        hits = one.vector(_text_of(one, 1))
        assert [row[4] for row in rows if row[1] == hits[0].uri][:1] == [hits[0].text]
        assert {row[4] for row in rows} == {hit.text for hit in hits}
        assert _rows(reader, "SELECT count(*) FROM current_chunks_1 WHERE text LIKE %s", "%two%") == [(0,)]
        reader.execute("SET default_transaction_read_only = off")
        for statement in (
            "DELETE FROM visible",
            "UPDATE chunk SET text = ''",
            "INSERT INTO collection (tenant_id, name, digest_state) VALUES (1, 'x', '')",
            "CREATE TABLE mine (id int)",
            "SELECT * FROM vectors_1_1",
            "SELECT * FROM vectors_1_2",
            "SELECT * FROM tenant",
            "SELECT * FROM run",
            "SELECT create_vector_partition(1, 1)",
            "SELECT * FROM keyword_hits(1, '{1}', 5)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


def _run(connection, statements):
    cursor = connection.execute(statements)
    while cursor.nextset():
        pass
    return cursor.fetchall()


def _text_of(world, chunk):
    with world.session.db.connection() as connection:
        return connection.execute("SELECT text FROM chunk WHERE id = %s", [chunk]).fetchone()[0]


@pytest.mark.parametrize("name", [READER, "revector_reader_1_grafana"])
def test_a_reader_cannot_become_another_tenant(two_tenants, database_url, login, name):
    _as_owner(database_url, RECIPE.replace(READER, name))
    with login(name) as reader:
        mine = _rows(reader, "SELECT count(*) FROM current_places")
        assert mine > [(1,)]
        reader.execute("SET app.tenant_id = '2'")
        assert _rows(reader, "SELECT count(*) FROM current_places") == mine
        assert _rows(reader, "SELECT DISTINCT tenant_id FROM vectors_1") == [(1,)]
        for statement in ("SET ROLE revector_app", "SET SESSION AUTHORIZATION postgres"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


@pytest.mark.parametrize("name", ["revector_reader_", "revector_reader_x", "revector_reader_1x"])
def test_a_reader_whose_name_has_no_tenant_sees_nothing(two_tenants, database_url, login, name):
    _as_owner(database_url, RECIPE.replace(READER, name))
    with login(name) as reader:
        reader.execute("SET app.tenant_id = '1'")
        assert _rows(reader, "SELECT count(*) FROM current_places") == [(0,)]


def test_another_login_reads_the_tenant_that_it_sets(two_tenants, database_url, login):
    """What the documents warn of."""
    _as_owner(database_url, RECIPE.replace(READER, "some_reader"))
    with login("some_reader") as reader:
        assert _rows(reader, "SELECT count(*) FROM current_places") == [(0,)]
        reader.execute("SET app.tenant_id = '2'")
        assert _rows(reader, "SELECT count(*) FROM current_places") == [(1,)]


def test_a_vector_query_through_the_view_uses_the_index(db, tmp_path):
    """Two collections of 5,000 and more, and another tenant's: only the one named is read."""
    rng = np.random.default_rng(1)
    sets = [rng.standard_normal((5_000, 16)).astype(np.float32) for _ in range(3)]
    for name, vectors in zip(("default", "other"), sets, strict=False):
        fill_releases(db, name, [vectors])
    with open_registry(tmp_path / "home", url=db.url, tenant="second") as second:
        fill_releases(second, "default", [sets[2]])
    query = format_vector(sets[0][7])
    nearest = "SELECT text FROM current_chunks_1 {} ORDER BY embedding <=> %s::vector LIMIT 5"
    by_id = nearest.format("WHERE collection_id = (SELECT id FROM collection WHERE name = 'default')")
    by_name = nearest.format("WHERE collection = 'default'")
    with db.connection() as connection:
        connection.execute("SELECT refresh_statistics()")
        connection.execute("SET hnsw.iterative_scan = strict_order")
        plan = "\n".join(row[0] for row in _rows(connection, "EXPLAIN (ANALYZE) " + by_id, query))
        read = re.findall(r"(?:Scan|using) \S*?(vectors_1_\d+)\S* .*?(never executed|actual)", plan)
        assert "Order By: (embedding <=>" in plan, plan
        assert {name for name, done in read if done == "actual"} == {"vectors_1_1"}, plan
        found = _rows(connection, by_id, query)
        assert found[0] == ("default chunk 7",)
        assert _rows(connection, by_name, query) == found
        connection.execute("RESET hnsw.iterative_scan")
