"""The main job on real input: what the README promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.configuration import load_settings
from flows.searching import search_text
from flows.session import load_real_embedder, open_session
from tests.acceptance.conftest import SAMPLES

pytestmark = pytest.mark.model
ELECTED = {
    "notes/customer-interview-orchard.txt": ["notes/shared/2026-10-05_customer-interview-orchard.txt"],
    "policies/expense-reimbursement.md": ["policies/drafts/expense-reimbursement.md"],
    "규정/사본/재택근무_규정.md": ["규정/재택근무_규정.md"],
}
CLEANERS = ("brightwater", "oakfield-and-daughters")
QUESTIONS = json.loads((Path(__file__).parent / "questions.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def session(first_run, cli):
    """A session on the same home, the model loaded once."""
    loaded = {}

    def load_once(card, settings):
        if card not in loaded:
            loaded[card] = load_real_embedder(card, settings)
        return loaded[card]

    settings = load_settings(environ={"REVECTOR_HOME": cli.environment["REVECTOR_HOME"]})
    with open_session(settings, load_embedder=load_once) as opened:
        yield opened


def test_all_samples_but_the_broken_one_are_indexed(first_run):
    files = sum(1 for path in SAMPLES.rglob("*") if path.is_file())
    assert files >= 30
    # an archive with three files and a mail with one: these are documents, the archive is none
    assert first_run["documents"]["added"] == files - 1 + 3
    assert first_run["documents"]["rejected"] == 1
    chunks = first_run["chunks"]  # some are in several documents
    assert chunks["total"] > chunks["embedded"] == chunks["total"] - chunks["reused"] > 4 * files
    assert first_run["release"] == 1


@pytest.mark.parametrize("language", ["ko", "en"])
def test_questions_find_their_document_first(session, language):
    asked = [q for q in QUESTIONS if q["language"] == language]
    assert len(asked) >= 20
    missed = [q["question"] for q in asked if not _finds(session, q, k=1)]
    assert len(missed) <= 1, missed


def test_no_question_misses_its_document_among_five(session):
    assert [q["question"] for q in QUESTIONS if not _finds(session, q, k=5)] == []


def _finds(session, question, k):
    uris = question["uri"] if isinstance(question["uri"], list) else [question["uri"]]
    hits = search_text(session, question["question"], "default", k=k)
    return any(hit.uri in uris for hit in hits)


def test_a_hit_says_where_it_stands(session):
    hit = search_text(session, "차입금 평균 금리", "default", k=1)[0]
    assert hit.uri == "보고서/2026년_상반기_실적.pdf"
    assert hit.page in (10, 11)
    assert "금리" in hit.text
    assert hit.title


def test_an_edited_sentence_embeds_one_or_two_chunks(cli, samples, first_run):
    path = samples / "handbook/release-checklist.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("18 microamperes", "21 microamperes"), encoding="utf-8")
    try:
        plan = cli.json("plan", str(samples))
        assert plan["changed"] == ["handbook/release-checklist.txt"]
        report = cli.json("ingest", str(samples))
        assert report["documents"]["changed"] == 1
        assert 1 <= report["chunks"]["embedded"] <= 2
        hit = cli.json("search", "limit of the sleep current of the boards", "-k", "1")["hits"][0]
        assert "21 microamperes" in hit["text"]
        assert hit["version"] == 2
    finally:
        path.write_text(text, encoding="utf-8")
    back = cli.json("ingest", str(samples))
    assert back["chunks"]["embedded"] == 0
    assert back["digest"] == first_run["digest"]


def test_of_near_duplicates_one_is_found_and_it_names_the_other(cli, first_run):
    assert (first_run["documents"]["duplicate"], first_run["hidden"]) == (3, 3)
    clusters = cli.json("duplicates")["clusters"]
    assert {cluster["winner"]: [m["uri"] for m in cluster["members"]] for cluster in clusters} == ELECTED
    assert {m["reason"].split(":")[0] for c in clusters for m in c["members"]} == {"date", "published"}
    assert cli.json("status")["duplicates"] == {"suppressed": 3, "flagged": 0}
    for winner, (loser,) in ELECTED.items():
        passage = (SAMPLES / loser).read_text(encoding="utf-8")[400:600]
        hits = cli.json("search", passage, "-k", "20")["hits"]
        assert hits[0]["uri"] == winner
        assert hits[0]["duplicates"] == [loser]
        assert loser not in {hit["uri"] for hit in hits}


def test_documents_of_one_form_are_all_found(first_run, session):
    for query, uris in (
        ("사옥 이전 안내", {"공지/사옥_이전_안내_v1.txt", "공지/사옥_이전_안내_v2.txt"}),
        ("cleaning of offices and workshops", {f"contracts/cleaning-{n}.md" for n in CLEANERS}),
        ("냉장 보관 위탁 계약서", {f"계약서/보관위탁_계약서_{n}.md" for n in ("가온식품", "다올수산")}),
    ):
        assert uris <= {hit.uri for hit in search_text(session, query, "default", k=20)}
