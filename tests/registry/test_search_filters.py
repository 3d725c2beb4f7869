"""A filtered search finds all that matches and nothing else, by brute force over the documents."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

import registry.filtering
import registry.search
from flows.searching import search_text
from registry.collections import get_collection
from registry.filtering import glob_regex
from registry.opening import open_registry
from registry.search import EXACT_UP_TO_CHUNKS, fuse, search_collection
from schemas.filters import Condition, parse_conditions
from schemas.settings import CollectionSettings, DuplicateSettings
from tasks.sources.patterns import compile_patterns
from tests.releases import fill_releases
from tests.texts import english_text, korean_sentence
from tests.world import World

FOLDERS = ["hr", "hr/2026", "Finance", "인사/규정"]
AUTHORS = [None, "Kim", "kim", "김민수", "LEE | Park", "Élodie"]
TAGS = ["hr", "HR", "finance", "규정", "c++"]
LANGUAGES = ["en", "ko"]
DEPARTMENTS = [None, "HR", "R&D", "총무"]
ALL = 1000


@dataclass(frozen=True)
class Doc:
    uri: str
    body: str
    author: str | None
    tags: tuple[str, ...]
    language: str
    date: datetime | None
    department: str | None

    def source(self) -> str:
        lines = [f"language: {self.language}"]
        lines += [f"author: '{self.author}'"] if self.author else []
        lines += [f"date: {self.date:%Y-%m-%dT%H:%M:%S}Z"] if self.date else []
        lines += [f"Department: '{self.department}'"] if self.department else []
        lines += ["tags: [" + ", ".join(f"'{tag}'" for tag in self.tags) + "]"]
        return "---\n" + "\n".join(lines) + f"\n---\n{self.body}\n"


def _random_doc(rng: random.Random, uri: str, bodies: list[str]) -> Doc:
    date = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=rng.randrange(24 * 150))
    return Doc(
        uri,
        rng.choice(bodies),
        rng.choice(AUTHORS),
        tuple(rng.sample(TAGS, rng.randint(1, 3))),
        rng.choice(LANGUAGES),
        rng.choice([None, date, date]),
        rng.choice(DEPARTMENTS),
    )


def _holds(doc: Doc, condition: Condition) -> bool:
    wanted = [value.lower() for value in condition.values]
    facts = {
        "author": [doc.author],
        "language": [doc.language],
        "tag": list(doc.tags),
        "field": [doc.department] if condition.name.lower() == "department" else [],
        "source": ["docs"],
        "format": ["markdown"],
        "mime": ["text/markdown"],
        "path": [doc.uri],
        "title": [doc.uri.rsplit("/", 1)[-1].removesuffix(".md")],
    }
    if condition.field == "date":
        if doc.date is None:
            return condition.operator == "!="
        first = condition.periods[0]
        within = any(period.start <= doc.date < period.end for period in condition.periods)
        return {
            "=": within,
            "!=": not within,
            ">=": doc.date >= first.start,
            "<": doc.date < first.start,
            ">": doc.date >= first.end,
            "<=": doc.date < first.end,
        }[condition.operator]
    has = [fact.lower() for fact in facts[condition.field] if fact is not None]
    if condition.operator == "~":
        return any(want in fact for want in wanted for fact in has)
    if condition.field == "path":
        match = compile_patterns(condition.values)
        found = match is not None and match(doc.uri.rsplit("/", 1)[-1], doc.uri)
    else:
        found = any(fact in wanted for fact in has)
    return found != (condition.operator == "!=")


def _random_condition(rng: random.Random, docs: list[Doc]) -> str:
    joined = "|".join
    doc = rng.choice(docs)
    day = f"2026-0{rng.randint(1, 5)}-{rng.randint(1, 28):02}"
    moment = rng.choice([day, day[:7], "2026", f"{day}T12"])
    path = rng.choice(["hr/**", "**/2026/*", "*1*.md", "Finance/*", "인사/**", doc.uri, "h?/*|d1?.md"])
    order = rng.choice(["=", "!=", "<", "<=", ">", ">="])
    operator = rng.choice(["=", "=", "!=", "~"])
    author = (doc.author or "Kim").replace("|", r"\|")
    return rng.choice(
        [
            f"author{operator}{rng.choice([author, author.upper(), author[1:]])}",
            f"tag {operator} {joined(rng.sample(TAGS, rng.randint(1, 2)))}",
            f"language={rng.choice(['en', 'KO', 'de'])}",
            f"date{order}{moment}",
            f"date=2026-02|{day}",
            f"field.department{operator}{rng.choice(['hr', 'R', '총무|HR'])}",
            f"field.nothing{rng.choice(['=', '!='])}x",
            f"path{rng.choice(['=', '!='])}{path}",
            f"path~{rng.choice(['FINANCE', '2026', '규정'])}",
            f"title{operator}{rng.choice(['d1', 'D12', '한글'])}",
            f"source{rng.choice(['=', '!='])}{rng.choice(['docs', 'other'])}",
            f"format={rng.choice(['markdown', 'pdf|markdown', 'pdf'])}",
            f"mime{rng.choice(['=', '~'])}{rng.choice(['text/markdown', 'text'])}",
        ]
    )


@pytest.fixture(params=["off", "suppress"])
def filled(request, database_url, tmp_path):
    """60 documents of 20 texts in two releases: (world, documents by release, the suppressed by release)."""
    rng = random.Random(request.param)
    collection = CollectionSettings(duplicates=DuplicateSettings(policy=request.param))
    bodies = [english_text(rng.randint(2, 40), seed=seed) for seed in range(14)]
    bodies += [" ".join(korean_sentence(rng) for _ in range(rng.randint(2, 30))) for _ in range(6)]
    docs = {
        uri: _random_doc(rng, uri, bodies)
        for number in range(60)
        for uri in [f"{rng.choice(FOLDERS)}/d{number}.md"]
    }
    with World.open(tmp_path, database_url, collections={"default": collection}) as world:
        releases = {}
        for doc in docs.values():
            world.write(doc.uri, doc.source())
        releases[world.ingest().release] = dict(docs)
        for uri in rng.sample(list(docs), 30):
            docs[uri] = _random_doc(rng, uri, bodies)
            world.write(uri, docs[uri].source())
        for uri in rng.sample(list(docs), 8):
            del docs[uri]
            (world.folder / uri).unlink()
        releases[world.ingest(allow_deletions=True).release] = dict(docs)
        assert list(releases) == [1, 2]
        hidden = {number: _suppressed(world, number) for number in releases}
        assert bool(hidden[1]) == (request.param == "suppress")
        yield world, releases, hidden
        assert world.problems() == []


def _suppressed(world, number):
    with world.session.db.connection() as connection:
        rows = connection.execute(
            "SELECT d.uri FROM activation a JOIN document d ON d.id = a.document_id WHERE a.suppressed "
            "AND a.from_release <= %(n)s AND (a.to_release IS NULL OR a.to_release > %(n)s)",
            {"n": number},
        )
        return {uri for (uri,) in rows}


def _expected(hits, docs, hidden, conditions):
    """What of the unfiltered hits is left, by brute force."""
    matching = {uri for uri, doc in docs.items() if all(_holds(doc, c) for c in conditions)}
    left = []
    for hit in hits:
        names = tuple(uri for uri in hit.documents if uri in matching)
        if any(uri not in hidden for uri in names):
            left.append((hit.text, names))
    return left


def test_random_filters_find_what_brute_force_finds_in_every_mode(filled, monkeypatch):
    world, releases, hidden = filled
    rng = random.Random(7)
    collection = get_collection(world.session.db, "default")
    query = "engineer checked items of the report 담당자는 보고서"
    sides = {"text": query, "vector": world.embedder.embed_query(query)}
    every = {
        (number, side): search_collection(
            world.session.db, collection, k=ALL, release=None if number == 2 else number, **{side: value}
        )
        for number in releases
        for side, value in sides.items()
    }
    shown = {hit.text for hit in every[1, "vector"]}
    assert len(shown) > 40
    kinds = set()
    for round_ in range(120):
        texts = [_random_condition(rng, list(releases[1].values())) for _ in range(rng.randint(1, 3))]
        conditions = parse_conditions(texts)
        monkeypatch.setattr(registry.search, "EXACT_UP_TO_CHUNKS", 0 if round_ % 2 else EXACT_UP_TO_CHUNKS)
        monkeypatch.setattr(registry.search, "SCAN_COST", 0 if round_ % 2 else 3)
        monkeypatch.setattr(registry.filtering, "LISTED_DOCUMENTS", 0 if round_ % 3 else 5_000)
        number = rng.choice([1, 2])
        scope = {"release": rng.choice([None, 2]) if number == 2 else number, "where": conditions}
        k = rng.choice([1, 5, ALL])
        ranked = []
        for side, value in sides.items():
            expected = _expected(every[number, side], releases[number], hidden[number], conditions)
            hits = search_collection(world.session.db, collection, k=k, **scope, **{side: value})
            assert [(hit.text, hit.documents) for hit in hits] == expected[:k], texts
            scores = {hit.text: hit.score for hit in every[number, side]}
            assert [hit.score for hit in hits] == pytest.approx([scores[hit.text] for hit in hits])
            ranked.append((1.0, [(text, 0.0) for text, _ in expected[: max(50, 2 * k)]]))
            kinds.add(min(len(expected), 2))
            for hit in hits:
                assert hit.uri == hit.documents[0]
                assert hit.uri not in hidden[number]
                assert set(hit.duplicates) <= {
                    uri for uri, doc in releases[number].items() if all(_holds(doc, c) for c in conditions)
                }
        both = search_collection(world.session.db, collection, k=k, **scope, **sides)
        assert [hit.text for hit in both] == [text for text, _ in fuse(ranked)][:k], texts
    assert kinds == {0, 1, 2}


def test_a_hit_says_what_is_known_of_its_document(filled):
    world, releases, _ = filled
    for hit in search_text(world.session, "report", "default", k=20, where=parse_conditions(["date>=2026"])):
        doc = releases[2][hit.uri]
        known = (hit.author, hit.authored_at, hit.language, set(hit.tags), hit.format)
        assert known == (doc.author, doc.date, doc.language, set(doc.tags), "markdown")


def test_a_shared_chunk_names_only_the_documents_that_match(database_url, tmp_path):
    text = "Storks nest on chimneys and come back in spring."
    collection = CollectionSettings(duplicates=DuplicateSettings(policy="off"))
    with World.open(tmp_path, database_url, collections={"default": collection}) as world:
        world.write("hr/a.md", f"---\nauthor: Kim\n---\n{text}")
        world.write("law/b.md", f"---\nauthor: Lee\n---\n{text}")
        world.ingest()
        for author, uri in (("kim", "hr/a.md"), ("LEE", "law/b.md")):
            where = parse_conditions([f"author={author}"])
            (hit,) = search_text(world.session, "storks", "default", where=where)
            assert (hit.uri, hit.documents, hit.author) == (uri, (uri,), author.title())
        assert len(search_text(world.session, "storks", "default")[0].documents) == 2
        assert search_text(world.session, "storks", "default", where=parse_conditions(["author=Choi"])) == []


def test_a_near_duplicate_that_does_not_match_is_not_named(world):
    text = english_text(30, seed=1)
    world.write("public/a.txt", text)
    world.write("secret/b.txt", text)
    world.ingest()
    everywhere = search_text(world.session, text[:60], "default", k=1)[0]
    shown, kept_out = everywhere.uri, everywhere.duplicates[0]
    assert {shown, kept_out} == {"public/a.txt", "secret/b.txt"}
    (hit, *_) = search_text(world.session, text[:60], "default", where=parse_conditions([f"path={shown}"]))
    assert (hit.documents, hit.duplicates) == ((shown,), ())
    assert (
        search_text(world.session, text[:60], "default", where=parse_conditions([f"path={kept_out}"])) == []
    )


@pytest.mark.parametrize(
    "condition",
    [
        "author=' OR true --",
        "author=%(tenant)s {where} %s",
        "field.x' = 'y=1",
        "path=(((",
        r"path=[a\\*",
        "tag='; DROP TABLE chunk; --",
        r"title~\_%",
    ],
)
def test_a_filter_is_never_read_as_sql(world, condition):
    world.write("a.md", "---\nauthor: Kim\n---\nA heron stands in the water.")
    world.ingest()
    where = parse_conditions([condition])
    for mode in ("hybrid", "vector", "keyword"):
        assert search_text(world.session, "heron", "default", mode=mode, where=where) == []
    negated = tuple(replace(c, operator="!=") for c in where)
    assert len(search_text(world.session, "heron", "default", where=negated)) == 1


def test_another_tenant_finds_nothing_by_any_filter(database_url, tmp_path):
    (tmp_path / "one").mkdir()
    with World.open(tmp_path / "one", database_url, tenant="one") as one:
        one.write("a.md", "---\nauthor: Kim\n---\nA heron stands in the water.")
        one.ingest()
        theirs = get_collection(one.session.db, "default")
        with open_registry(tmp_path / "two", url=database_url, tenant="two") as two:
            for text in ("author=Kim", "author!=nobody", "path=**", "field.x!=y"):
                where = parse_conditions([text])
                scope = {"k": 5, "text": "heron", "vector": one.embedder.embed_query("heron"), "where": where}
                assert search_collection(two, theirs, **scope) == []
                assert len(search_collection(one.session.db, theirs, **scope)) == 1


def test_case_folding_is_for_the_application_alone(database_url, db):
    with db.connection() as connection:
        assert connection.execute("SELECT fold_case('ÄÉ 김 ΔOК')").fetchone() == ("äé 김 δoк",)
    with psycopg.connect(database_url, autocommit=True) as raw:
        raw.execute("CREATE ROLE filters_nobody")
        raw.execute("GRANT USAGE ON SCHEMA revector TO filters_nobody")
        raw.execute("SET ROLE filters_nobody")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            raw.execute("SELECT revector.fold_case('a')")
        raw.execute("RESET ROLE")
        raw.execute("REVOKE USAGE ON SCHEMA revector FROM filters_nobody")
        raw.execute("DROP ROLE filters_nobody")


def test_a_path_pattern_matches_as_an_include_pattern_does(db):
    rng = random.Random(3)
    patterns = ["**", "**/", *"ab./*?한[]^$\\+(|{- "]
    with db.connection() as connection:
        for _ in range(1500):
            pattern = "".join(rng.choices(patterns, k=rng.randint(1, 6)))
            uri = "".join(rng.choices("ab./한[^\\$-| ", k=rng.randint(1, 7))).strip("/")
            if pattern.endswith("/") or not pattern.strip("/") or not uri:
                continue
            match = compile_patterns((pattern,))
            expected = match(uri.rsplit("/", 1)[-1], uri)
            found = connection.execute("SELECT %s ~ %s", [uri, glob_regex(pattern)]).fetchone()[0]
            assert found == expected, (pattern, uri, glob_regex(pattern))


def test_a_path_that_ends_with_a_slash_is_all_below_it(world):
    world.write("hr/2026/a.txt", "A heron stands in the water.")
    world.write("hr.txt", "A heron stands in the grass.")
    world.ingest()
    hits = search_text(world.session, "heron", "default", where=parse_conditions(["path=hr/"]))
    assert [hit.uri for hit in hits] == ["hr/2026/a.txt"]


DIM = 16


def test_few_matches_far_from_the_query_are_all_found(db, monkeypatch):
    """The chunks that match lie behind 5,900 others that are nearer, and the index gives up before them."""
    rng = np.random.default_rng(1)
    query = rng.standard_normal(DIM)
    query = (query / np.linalg.norm(query)).astype(np.float32)
    near = query + 0.05 * rng.standard_normal((5_900, DIM))
    far = -query + 0.05 * rng.standard_normal((100, DIM))
    vectors = np.concatenate([far, near])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    collection, _ = fill_releases(db, "many", [vectors])
    where = parse_conditions(["path=many chunk 0.txt|many chunk 50.txt"])
    wanted = [f"many chunk {row}" for row in np.argsort(-(vectors[:100] @ query))[:20]]
    for exact_up_to in (2_000, 0):
        monkeypatch.setattr(registry.search, "EXACT_UP_TO_CHUNKS", exact_up_to)
        monkeypatch.setattr(registry.search, "SCAN_COST", 0)
        hits = search_collection(db, collection, k=20, vector=query, where=where)
        assert [hit.text for hit in hits] == wanted
        assert len(search_collection(db, collection, k=1000, vector=query, where=where)) == 100
