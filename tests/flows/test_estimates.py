"""What there is to embed is said before it begins: as much as is known, and no more."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.estimating import estimate_sizes, foresee_location, sum_estimates
from flows.output_estimate import describe_estimate, duration, print_estimate, rounded
from flows.progress import ESTIMATES, _shown_above
from registry.collections import get_collection
from registry.estimating import count_tokens, format_sizes
from registry.runs import latest_runs
from schemas.estimate import Estimate, FormatSizes, Speed
from tasks.batch import plain_steps
from tests.texts import english_text

STORK = "Storks nest on chimneys and leave for the south in August. "


def _foresee(world, collection="default"):
    with plain_steps() as steps:
        return foresee_location(world.session, steps, str(world.folder), collection)


def _number(world):
    return get_collection(world.session.db, "default").id


def test_a_first_plan_counts_by_usual_documents_and_says_that_it_knows_no_time(world, capsys):
    world.write("a.md", STORK * 40)
    found = _foresee(world)
    assert (found.plan.added, found.estimate.basis, found.estimate.seconds) == (("a.md",), "typical", None)
    print_estimate(found.estimate, found.kind)
    out = capsys.readouterr().out
    assert "as documents usually are" in out
    assert "how long is not known" in out


def test_a_plan_makes_no_space_and_no_run_and_loads_no_model(world):
    world.write("a.md", STORK)
    world.ingest()
    world.write("b.md", STORK * 2)
    models = world.models
    runs = len(latest_runs(world.session.db, _number(world)))

    def load(*_):
        raise AssertionError("a plan loads no model")

    world.session = replace(world.session, load_embedder=load)
    assert _foresee(world).estimate.texts > 0
    assert len(latest_runs(world.session.db, _number(world))) == runs
    world.session = replace(world.session, load_embedder=models.load)


def test_a_plan_foresees_what_documents_like_those_of_the_collection_make(ticking):
    for number in range(4):
        ticking.write(f"{number}.txt", english_text(12, seed=number))
    first = ticking.ingest()
    for number in range(4, 8):
        ticking.write(f"{number}.txt", english_text(12, seed=number))
    estimate = _foresee(ticking).estimate
    done = ticking.ingest()
    assert (estimate.basis, estimate.at_most) == ("collection", False)
    assert estimate.texts == pytest.approx(done.chunks.embedded, rel=0.2)
    assert estimate.tokens == pytest.approx(done.tokens, rel=0.2)
    speed = first.tokens / first.seconds["embed"]
    assert estimate.seconds == pytest.approx(first.seconds["model"] + estimate.tokens / speed)


def test_of_changed_documents_it_says_at_most(world, capsys):
    world.write("a.txt", STORK * 40)
    world.ingest()
    world.write("a.txt", STORK * 40 + "And herons stay.")
    found = _foresee(world)
    assert found.estimate.at_most
    print_estimate(found.estimate)
    out = capsys.readouterr().out
    assert "at most " in out


def test_of_nothing_new_it_says_nothing(world, capsys):
    world.write("a.txt", STORK)
    world.ingest()
    found = _foresee(world)
    assert found.estimate is None
    print_estimate(found.estimate)
    assert capsys.readouterr().out == ""


def test_a_run_counts_what_it_embeds_before_it_does(ticking, caplog):
    ticking.write("a.txt", STORK * 40)
    ticking.write("b.txt", "Herons stand in the water.")
    seen = []

    def watch(step):
        def embed(workspace, number, ids, **options):
            seen.extend(record.message for record in caplog.records if record.name == ESTIMATES)
            return step(workspace, number, ids, **options)

        return embed

    with caplog.at_level(logging.INFO, ESTIMATES):
        report = ticking.ingest_with(embed_batch=watch)
    ids = range(1, report.chunks.embedded + 1)
    tokens = count_tokens(ticking.session.db, _number(ticking), list(ids))
    assert (report.estimate, report.tokens) == (Estimate(report.chunks.embedded, tokens), tokens)
    assert seen == [describe_estimate(report.estimate)]
    data = report.as_json()
    assert data["estimate"] == {
        "texts": report.chunks.embedded, "tokens": tokens, "seconds": None, "basis": "counted",
        "at_most": False,
    }  # fmt: skip
    assert json.loads(json.dumps(data))["tokens"] == tokens
    assert latest_runs(ticking.session.db, _number(ticking))[0]["stats"]["tokens"] == tokens


def test_the_second_run_knows_how_long_by_the_first(ticking):
    ticking.write("a.txt", STORK * 40)
    first = ticking.ingest()
    ticking.write("b.txt", "Herons. " + STORK * 40)
    second = ticking.ingest()
    speed = first.tokens / first.seconds["embed"]
    assert second.estimate.seconds == pytest.approx(
        first.seconds["model"] + second.estimate.tokens / speed, abs=0.01
    )


def test_a_run_without_anything_new_to_embed_says_so(ticking):
    ticking.write("a.txt", STORK)
    ticking.ingest()
    ticking.write("b.txt", STORK)
    report = ticking.ingest()
    assert (report.estimate, report.tokens) == (Estimate(seconds=0.0), 0)
    assert describe_estimate(report.estimate) == "nothing to embed"


def test_another_collection_learns_the_speed_of_the_model_from_this_one(ticking):
    ticking.write("a.txt", STORK * 40)
    ticking.ingest()
    found = _foresee(ticking, "other")
    assert (found.estimate.basis, found.estimate.seconds is None) == ("typical", False)


def test_formats_are_told_apart_and_hidden_duplicates_make_nothing(world):
    text = english_text(60, seed=1)
    world.write("a.txt", text)
    world.write("folder.d/README", "Herons stand in the water.")
    world.write("B.MD", "# Birds\n\nOwls hoot at night.\n")
    world.write("copy.log", text.replace("budget", "plan", 1))
    assert world.ingest().hidden == 1
    found = {one.format: one for one in format_sizes(world.session.db, _number(world))}
    assert sorted(found) == ["", "log", "md", "txt"]
    assert found["txt"].size == len(text)
    shown, hidden = sorted((found["txt"], found["log"]), key=lambda one: -one.chunks)
    assert shown.tokens > found["md"].tokens > 0
    assert (hidden.documents, hidden.chunks, hidden.tokens) == (1, 0, 0)


def test_images_are_counted_one_by_one(world):
    from tests.pictures import file

    world.configure(kind="images", model="small-clip", prototypes={"classes": "none"})
    for name in ("hat", "cup"):
        world.write(f"{name}.png", file(name, 0))
    found = _foresee(world)
    assert (found.kind, found.estimate.texts, found.estimate.tokens) == ("images", 2, 0)
    assert describe_estimate(found.estimate, "images").startswith("about 2 images to embed, how long")
    report = world.ingest()
    assert (report.estimate.texts, report.estimate.tokens, report.tokens) == (2, 0, 0)


def test_a_format_that_the_collection_has_none_of_counts_as_it_usually_does():
    past = [FormatSizes("txt", 10, 10_240, 20, 3_800)]
    assert estimate_sizes([("a.txt", 1_024)], past).tokens == 380
    assert estimate_sizes([("a.pdf", 102_400)], past).tokens == 2_600
    assert estimate_sizes([("a.pdf", 102_400)], past).basis == "typical"
    assert estimate_sizes([("a.zzz", 1_024)], past) == estimate_sizes([("a.txt", 1_024)], past)


sizes = st.lists(
    st.tuples(st.sampled_from(["a.txt", "b.PDF", "c", "d/e.x"]), st.integers(0, 10**12)), max_size=8
)
pasts = st.lists(
    st.builds(
        FormatSizes,
        st.sampled_from(["txt", "pdf", ""]),
        st.integers(1, 100),
        st.integers(1, 10**9),
        st.integers(0, 10**6),
        st.integers(0, 10**8),
    ),
    unique_by=lambda one: one.format,
)


@given(sizes, pasts, st.tuples(st.just("f.txt"), st.integers(0, 10**9)))
def test_one_more_document_never_costs_less(listed, past, more):
    before, after = estimate_sizes(listed, past), estimate_sizes([*listed, more], past)
    assert after.texts >= before.texts >= 0
    assert after.tokens >= before.tokens >= 0


@given(st.integers(0, 10**15))
def test_a_guess_is_within_a_twentieth(number):
    assert abs(rounded(number) - number) <= 0.05 * number


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_longer_time_is_never_called_a_shorter_one(one, other):
    def back(text):
        words = text.split()
        units = {"s": 1, "min": 60, "h": 3600}
        return sum(int(n) * units[u] for n, u in zip(words[::2], words[1::2], strict=True))

    short, long = sorted((one, other))
    assert back(duration(short)) <= back(duration(long))


@given(st.integers(0, 10**6), st.integers(1, 10**9))
def test_more_never_takes_less(texts, tokens):
    speed = Speed(50.0, 9_000.0, 2.0)
    assert speed.seconds(texts, tokens) <= speed.seconds(texts + 1, tokens + 1)


def test_estimates_add_up_and_one_unknown_time_makes_the_sum_unknown():
    one, other = Estimate(2, 30, 1.5), Estimate(1, 10, 0.5)
    assert sum_estimates([one, other]) == Estimate(3, 40, 2.0)
    assert sum_estimates([one, replace(other, seconds=None)]) == Estimate(3, 40, None)
    assert sum_estimates([]) is None


def test_on_a_terminal_the_estimate_is_shown_whatever_is_logged():
    shown, logger = [], logging.getLogger(ESTIMATES)
    with _shown_above(shown.append):
        logger.info("%s chunks to embed", 3)
    logger.info("not here")
    assert shown == ["3 chunks to embed"]


def test_plan_and_ingest_tell_it_by_the_contract_of_the_command_line(run, run_json, docs):
    plan = run_json("plan", str(docs))
    assert set(plan["estimate"]) == {"texts", "tokens", "seconds", "basis", "at_most"}
    report = run_json("ingest", str(docs))
    assert (report["estimate"]["texts"], report["estimate"]["seconds"]) == (2, None)
    assert report["tokens"] == report["estimate"]["tokens"] > 0
    (docs / "c.txt").write_text("An owl hoots at night.")
    code, out, _ = run("plan", str(docs))
    assert code == 0
    assert out.splitlines()[-1].endswith(" by the last runs")
    _, out, _ = run("ingest", str(docs))
    assert "1 embedded (" in out
    assert run_json("plan", str(docs))["estimate"] is None
