"""The second run does only what the change asks for."""

from __future__ import annotations

import os
import random

import pytest

from schemas.errors import GateFailed, MassDeletion
from tests.texts import english_text, korean_sentence, korean_text

LONG = 100_000  # characters: about 100 pages


def _fill(world, count=6):
    for number in range(count):
        world.write(f"folder{number % 2}/doc{number}.txt", english_text(30, seed=number))


def test_first_run_indexes_and_second_run_does_nothing(world):
    _fill(world)
    first = world.ingest()
    assert (first.state, first.release, first.documents.added, first.parsed) == ("succeeded", 1, 6, 6)
    assert first.chunks.embedded == first.chunks.total == world.embedder.embedded > 6
    second = world.ingest()
    assert (second.state, second.release, second.digest) == ("unchanged", None, None)
    assert (second.documents.unchanged, second.parsed, second.chunks.total) == (6, 0, 0)
    assert world.embedder.embedded == first.chunks.embedded
    assert [release.number for release in world.releases()] == [1]


def test_unchanged_run_does_not_load_the_model(world):
    _fill(world)
    world.ingest()

    def refuse(card, settings):
        raise AssertionError("the model was loaded")

    object.__setattr__(world.session, "load_embedder", refuse)
    assert world.ingest().state == "unchanged"


def test_touching_every_file_parses_nothing(world):
    _fill(world)
    world.write("broken.pdf", b"%PDF-1.7 cut off")
    world.ingest()
    for path in world.folder.rglob("*.*"):
        os.utime(path, ns=(1, 1))
    report = world.ingest()
    assert (report.parsed, report.chunks.embedded, report.release) == (0, 0, None)
    assert report.documents.unchanged == 6
    assert report.documents.rejected == 1
    assert world.plan().restat == {}, "the new stats were not remembered"


def test_a_change_that_keeps_size_and_mtime_is_noticed(world):
    path = world.write("a.txt", "The price is 100 won.")
    stat = path.stat()
    world.ingest()
    path.write_text("The price is 200 won.")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert world.plan().changed == ("a.txt",)
    assert world.ingest().documents.changed == 1
    assert world.keyword("price")[0].text == "The price is 200 won."


def test_a_change_within_the_clock_tick_of_the_last_is_noticed(world):
    for text in ("one", "two", "six", "ten"):
        world.write("a.txt", f"The number is {text}.")
        world.ingest()
        assert world.keyword("number")[0].text == f"The number is {text}."


@pytest.mark.parametrize("place", ["start", "middle"])
def test_one_sentence_in_a_long_korean_text_embeds_at_most_three_chunks(world, place):
    text = korean_text(LONG)
    world.write("긴글.txt", text)
    first = world.ingest()
    assert first.chunks.total > 300
    at = 0 if place == "start" else text.index("\n\n", LONG // 2) + 2
    extra = korean_sentence(random.Random(99)) + " "
    world.write("긴글.txt", text[:at] + extra + text[at:])
    second = world.ingest()
    assert second.documents.changed == 1
    assert 1 <= second.chunks.embedded <= 3
    assert second.chunks.reused == second.chunks.total - second.chunks.embedded


def test_a_renamed_file_embeds_and_parses_nothing(world):
    _fill(world)
    world.ingest()
    before = world.embedder.embedded
    (world.folder / "folder0/doc0.txt").rename(world.folder / "renamed.txt")
    assert world.plan().moved == (("folder0/doc0.txt", "renamed.txt"),)
    report = world.ingest()
    assert (report.documents.moved, report.documents.deleted, report.documents.added) == (1, 0, 0)
    assert (report.chunks.embedded, report.parsed, world.embedder.embedded) == (0, 0, before)
    assert report.release == 2


def test_equal_text_in_two_files_is_embedded_once(world):
    text = english_text(5)
    world.write("a.txt", text)
    world.write("b.txt", text)
    report = world.ingest()
    assert (report.chunks.total, report.chunks.embedded, report.documents.duplicate) == (1, 1, 1)
    assert world.keyword("items")[0].documents == ("a.txt", "b.txt")


def test_a_passage_in_two_files_is_embedded_once(world):
    passage = english_text(30)
    for name, seed in (("a.md", 1), ("b.md", 2)):
        world.write(name, f"# Shared\n\n{passage}\n\n# Own\n\n{english_text(30, seed=seed)}\n")
    report = world.ingest()
    assert report.documents.duplicate == 0
    assert report.chunks.reused == report.chunks.total - report.chunks.embedded > 0


def test_content_that_comes_back_is_neither_parsed_nor_embedded(world):
    world.write("a.txt", "First text of the file.")
    world.write("b.txt", "Another file stays.")
    one = world.ingest()
    world.write("a.txt", "Second text of the file.")
    world.ingest()
    before = world.embedder.embedded
    world.write("a.txt", "First text of the file.")
    report = world.ingest()
    assert (report.parsed, world.embedder.embedded) == (0, before)
    assert (report.release, report.digest) == (3, one.digest)
    assert world.keyword("first")[0].version == 1


def test_other_bytes_with_the_same_text_make_no_release(world):
    world.write("a.html", "<html><head><title>T</title></head><body><p>Hello there.</p></body></html>")
    world.ingest()
    world.write(
        "a.html", "<html><head><title>T</title></head><body><!-- x --><p>Hello there.</p></body></html>"
    )
    report = world.ingest()
    assert (report.release, report.documents.unchanged, report.chunks.embedded) == (None, 1, 0)
    assert world.plan().is_empty, "the new bytes were not remembered"


def test_the_digest_is_the_same_whatever_the_way_there(world, tmp_path):
    _fill(world, 4)
    digest = world.ingest().digest
    other = tmp_path / "elsewhere"
    for number in (3, 1, 2, 0):
        path = other / f"folder{number % 2}/doc{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(english_text(30, seed=number))
        last = world.ingest(other, collection="second")
    assert last.release == 4
    assert last.digest == digest


def test_a_deleted_file_is_retired_and_not_found(world):
    _fill(world)
    world.write("doomed.txt", "A zebra crossed the road.")
    world.ingest()
    assert world.keyword("zebra")
    (world.folder / "doomed.txt").unlink()
    report = world.ingest()
    assert (report.documents.deleted, report.release) == (1, 2)
    assert world.keyword("zebra") == []
    assert all(hit.uri != "doomed.txt" for hit in world.vector("A zebra crossed the road."))


def test_a_run_on_a_part_leaves_the_rest_alone(world):
    _fill(world)
    world.ingest()
    (world.folder / "folder0/doc0.txt").unlink()
    (world.folder / "folder1/doc1.txt").unlink()
    world.write("folder0/new.txt", "New in folder zero.")
    report = world.ingest(world.folder / "folder0")
    assert (report.documents.added, report.documents.deleted) == (1, 1)
    assert world.plan().deleted == ("folder1/doc1.txt",)


def test_a_single_file_can_be_ingested_outside_and_inside_a_source(world):
    _fill(world)
    path = world.folder / "folder0/doc0.txt"
    report = world.ingest(path)
    assert (report.documents.added, report.source) == (1, "folder0")
    report = world.ingest(world.folder / "folder0/doc2.txt")
    assert (report.documents.added, report.source) == (1, "folder0")


def test_a_wider_source_takes_over_the_documents_of_one_inside_it(world):
    _fill(world)
    first = world.ingest(world.folder / "folder0")
    assert first.documents.added == 3
    assert [old for old, _ in world.plan().moved] == ["doc0.txt", "doc2.txt", "doc4.txt"]
    report = world.ingest()
    counts = report.documents
    assert (counts.moved, counts.added, counts.deleted, report.parsed) == (3, 3, 0, 3)
    assert report.chunks.reused == first.chunks.total
    assert {hit.uri for hit in world.keyword("items", k=100)} == set(world.file_uris())
    assert world.ingest(world.folder / "folder0").state == "unchanged", "it is a part of the wider source now"
    assert world.ingest().state == "unchanged"


def test_sources_do_not_touch_each_others_documents(world, tmp_path):
    _fill(world)
    world.ingest()
    other = tmp_path / "other"
    other.mkdir()
    (other / "doc.txt").write_text("From the other source.")
    report = world.ingest(other)
    assert (report.documents.added, report.documents.deleted, report.source) == (1, 0, "other")
    assert world.keyword("source")[0].source == "other"
    assert world.ingest().state == "unchanged"


def test_mass_deletion_stops_the_run_and_can_be_allowed(world):
    for number in range(12):
        world.write(f"d{number}.txt", f"Document number {number} about storks.")
    world.ingest()
    for number in range(10):
        (world.folder / f"d{number}.txt").unlink()
    with pytest.raises(MassDeletion, match=r"10 documents \(83% of 12\).*--allow-deletions") as error:
        world.ingest()
    assert len(error.value.facts["deleted"]) == 10
    assert len(world.keyword("storks", k=50)) == 12
    assert world.ingest(allow_deletions=True).documents.deleted == 10
    assert len(world.keyword("storks", k=50)) == 2


def test_a_source_that_lists_nothing_stops_the_run(world):
    world.write("only.txt", "The only document.")
    world.ingest()
    (world.folder / "only.txt").unlink()
    with pytest.raises(MassDeletion, match="the source lists nothing"):
        world.ingest()
    assert world.keyword("only")


def test_a_few_deletions_pass_the_guard(world):
    for number in range(9):
        world.write(f"d{number}.txt", f"Document number {number}.")
    world.ingest()
    for number in range(8):
        (world.folder / f"d{number}.txt").unlink()
    assert world.ingest().documents.deleted == 8


def test_a_failed_gate_leaves_the_previous_release_serving(world, monkeypatch):
    world.write("a.txt", "The first state.")
    world.ingest()
    world.write("a.txt", "The second state.")
    with monkeypatch.context() as patch:
        patch.setattr("tasks.vectors.store_vectors", lambda *args, **options: 0)  # vectors get lost
        with pytest.raises(GateFailed, match="1 staged chunks have no vector"):
            world.ingest()
    assert [hit.text for hit in world.keyword("state")] == ["The first state."]
    assert world.ingest().release == 2
    assert [hit.text for hit in world.keyword("state")] == ["The second state."]


def test_a_plan_changes_nothing(world):
    _fill(world)
    plan = world.plan()
    assert len(plan.added) == 6
    with world.session.db.connection() as connection:
        for table in ("collection", "source", "document", "run"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_changed_setting_brings_every_document_up_to_date(world, database_url, tmp_path):
    from tests.world import World

    world.write("a.txt", english_text(60))
    first = world.ingest()
    settings = {"default": {"chunking": {"max_tokens": 64}}}
    with World.open(tmp_path, database_url, collections=settings) as other:
        assert other.plan().changed == ("a.txt",)
        report = other.ingest()
        assert report.chunks.total > first.chunks.total
        assert report.parsed == 0, "the parser's result was not reused"
        assert other.ingest().state == "unchanged"
