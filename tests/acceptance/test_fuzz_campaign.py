"""A short fuzz campaign, and that each rule of its judge can fail; `make nightly` runs a long one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.release import Rejection
from tests.acceptance.fuzz.campaign import Campaign, look
from tests.acceptance.fuzz.judge import Seen, judge
from tests.acceptance.fuzz.mutants import load_origins, make_mutant
from tests.acceptance.fuzz.watch import Ask

SEED = 20
SOUND = Seen(
    indexed=["1.txt", "2.zip/a.txt", "3.eml", "3.eml/b.csv"],
    rejections=[
        Rejection("4.pdf", "parse", "ParseFailed", "It is cut off. Fetch it again.", False),
        Rejection("2.zip/c", "unpack", "ContainerRefused", "A link is not followed.", False),
        Rejection(
            "1.txt", "parse", "UnicodeDecodeError", "Some bytes fit no encoding.", False, part="characters"
        ),
    ],
    archives={"2.zip": ["2.zip/a.txt"]},
    mails={"3.eml": ["3.eml/b.csv"]},
)
NAMES = ["1.txt", "2.zip", "3.eml", "4.pdf"]


def test_damaged_files_of_every_format_are_indexed_or_rejected_and_end_in_time(database_url, tmp_path):
    origins = load_origins()
    campaign = Campaign(database_url, SEED, origins, tmp_path, say=lambda *_, **__: None)
    campaign.run(range(len(origins)))
    assert campaign.failures == []
    assert campaign.mutants == len(origins)
    outcomes = sum((counts for counts in campaign.outcomes.values()), start=campaign.members)
    assert {"indexed", "indexed in part", "opened", "ParseFailed", "UnsupportedFormat"} <= set(outcomes)
    assert 0 < campaign.peaks.child_peak < 1 << 30
    assert 0 < campaign.peaks.space_peak <= 1 << 30


def test_a_mutant_comes_back_by_its_seed_and_number_and_differs_from_its_file():
    origins = load_origins("*.hwp*")
    mutants = [make_mutant(5, number, origins) for number in range(40)]
    assert [make_mutant(5, number, origins) for number in range(40)] == mutants
    assert all(mutant.data != origins[mutant.origin] for mutant in mutants)
    assert {mutant.origin for mutant in mutants} == set(origins)


def test_damage_gets_behind_the_compression():
    origins = load_origins("report.*.[dh][ow][cp]*") | load_origins("form*.pdf") | load_origins("*.gz")
    hows = " ".join(make_mutant(5, number, origins).how for number in range(240))
    wanted = ("zip word/document.xml", "zip Contents/section0.xml", "ole BodyText/Section0", "pdf ", "gzip ")
    assert [word for word in wanted if word not in hows] == []


def test_a_sound_result_passes():
    assert judge(NAMES, SOUND) == []


WRONG = {
    "neither indexed nor rejected": replace(SOUND, indexed=SOUND.indexed[1:]),
    "2.zip/a.txt: neither": replace(SOUND, indexed=["1.txt", "3.eml", "3.eml/b.csv"]),
    "accounted for twice": replace(SOUND, indexed=[*SOUND.indexed, "4.pdf"]),
    "3.eml/b.csv: accounted for twice": replace(SOUND, indexed=[*SOUND.indexed, "3.eml/b.csv"]),
    "without members and without a reason": replace(
        SOUND,
        archives={"2.zip": []},
        indexed=["1.txt", "3.eml", "3.eml/b.csv"],
        rejections=SOUND.rejections[:1],
    ),
    "nobody knows where it comes from": replace(SOUND, indexed=[*SOUND.indexed, "5.txt"]),
    "is no class of rejection": replace(
        SOUND, rejections=[replace(SOUND.rejections[0], error="KeyError"), SOUND.rejections[1]]
    ),
    "rejected without a reason": replace(
        SOUND, rejections=[replace(SOUND.rejections[0], message=" "), SOUND.rejections[1]]
    ),
    "met a bug": replace(
        SOUND, rejections=[replace(SOUND.rejections[0], message="4.pdf met a bug (KeyError: 1).")]
    ),
    "check_collection": replace(SOUND, problems=["a chunk without a vector"]),
    "left unpacked": replace(SOUND, left_files=["unpacked/x/1"]),
    "outlived its run": replace(SOUND, left_processes=[17]),
    "control characters": replace(SOUND, bad_texts=["1.txt"]),
}


@pytest.mark.parametrize("failure", WRONG)
def test_each_broken_promise_is_told(failure):
    assert [told for told in judge(NAMES, WRONG[failure]) if failure in told]


def test_a_request_far_beyond_its_limit_is_told_and_one_killed_at_it_is_not():
    late, killed = Ask("4.pdf", "rung 0", 20.0, 10.0), Ask("4.pdf", "rung 0", 10.4, 10.0, "ParseTimeout")
    assert judge(NAMES, SOUND, [killed]) == []
    assert len(judge(NAMES, SOUND, [late, killed])) == 1


def test_an_exception_that_leaves_the_run_is_a_failure(database_url, tmp_path, monkeypatch):
    def break_off(*_, **__):
        raise KeyError("planned")

    monkeypatch.setattr("tests.world.World.ingest", break_off)
    campaign = Campaign(database_url, SEED, load_origins("*.csv"), tmp_path, say=lambda *_, **__: None)
    campaign.run(range(2))
    assert len(campaign.failures) == 1
    assert "KeyError" in campaign.failures[0]
    assert campaign.mutants == 0


def test_control_characters_in_a_stored_text_and_left_files_are_seen(world):
    world.write("a.txt", "Otters swim.")
    world.write("b.txt", "Badgers dig.")
    world.ingest()
    assert look(world).bad_texts == []
    with world.session.db.connection() as connection:
        connection.execute("UPDATE chunk SET text = text || chr(1) WHERE text LIKE 'Otters%'")
        connection.execute('UPDATE document_version SET metadata = \'{"a": "x\\u0002"}\'')
    left = world.session.settings.home / "unpacked" / "x"
    left.mkdir(parents=True)
    seen = look(world)
    assert set(seen.bad_texts) == {"a.txt", "b.txt"}
    assert seen.left_files == [str(left)]
    with world.session.db.connection() as connection:
        connection.execute("UPDATE chunk SET text = rtrim(text, chr(1))")
