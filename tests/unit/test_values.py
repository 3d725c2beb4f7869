"""Digest, grams, fusion, settings, errors: the small pure parts."""

from __future__ import annotations

import doctest
import importlib
import pickle
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.configuration import load_settings
from registry.queries import load
from registry.search import fuse
from schemas.digest import EMPTY_STATE, entry_digest, release_digest, update_state, version_digest
from schemas.errors import ConfigurationError, MassDeletion, RevectorError
from schemas.grams import gram_hashes, text_grams

ROOT = Path(__file__).parents[2]
items = st.lists(st.binary(min_size=1, max_size=8), max_size=8)


@given(items, items)
def test_the_digest_state_forgets_the_way(added, more):
    there = update_state(EMPTY_STATE, added, [])
    and_back = update_state(update_state(there, more, []), [], more)
    shuffled = random.Random(1).sample(added, len(added))
    assert and_back == there == update_state(EMPTY_STATE, shuffled, [])


@given(items, items)
def test_different_sets_have_different_states(one, other):
    same = update_state(EMPTY_STATE, one, []) == update_state(EMPTY_STATE, other, [])
    assert same == (sorted(one) == sorted(other))


def test_every_part_of_a_version_counts_in_its_digest():
    base = ["a", b"text", b"meta", b"finger", [b"c1", b"c2"]]
    others = [["b"], [b"t"], [b"m"], [b"f"], [[b"c2", b"c1"]]]
    digests = {version_digest(*base)}  # type: ignore[arg-type]
    for position, (value,) in enumerate(others):
        digests.add(version_digest(*base[:position], value, *base[position + 1 :]))  # type: ignore[arg-type]
    assert len(digests) == 6
    entries = [("v",), ("v", None, True), ("v", "a"), ("v", "a", True), ("v", "b"), ("w", "a")]
    assert len({entry_digest(v.encode(), *rest) for v, *rest in entries}) == 5
    assert release_digest(EMPTY_STATE, b"space 1") != release_digest(EMPTY_STATE, b"space 2")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("휴가", "연차휴가를 신청한다"),
        ("GPU", "새 GPU를 샀다"),
        ("보고서", "상반기보고서입니다"),
        ("policy", "Our policies changed"),
        ("config", "def parse_config(path)"),
        ("retryQueue", "class RetryQueue:"),
        ("ｆｕｌｌ", "full width letters"),
        ("検索", "全文検索する"),
    ],
)
def test_a_word_is_found_inside_what_is_written(query, text):
    assert text_grams(query) & text_grams(text)


def test_grams_of_two_collections_do_not_meet():
    assert not set(gram_hashes({"휴가", "policy"}, 1)) & set(gram_hashes({"휴가", "policy"}, 2))
    assert all(-(2**31) <= value < 2**31 for value in gram_hashes(text_grams("a b c 가나다"), 7))


def test_fusion_prefers_what_both_sides_found_and_then_the_first_side():
    keyword, vector = [(1, 9.0), (2, 8.0)], [(3, 0.9), (2, 0.8)]
    assert [chunk for chunk, _ in fuse([(1.0, keyword), (1.0, vector)])] == [2, 1, 3]
    assert [chunk for chunk, _ in fuse([(1.0, keyword), (0.01, vector)])] == [1, 2, 3]
    assert [chunk for chunk, _ in fuse([(1.0, keyword[:1]), (0.01, vector)])] == [1, 3, 2]


def test_errors_survive_pickling_and_end_with_advice():
    error = MassDeletion("Too many.", advice="Run again with --allow-deletions.", deleted=["a"])
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.facts) == (MassDeletion, str(error), {"deleted": ["a"]})
    assert str(again).endswith("--allow-deletions.")


def test_every_error_class_can_be_made_and_says_if_a_retry_helps():
    def tree(cls):
        return {cls}.union(*(tree(sub) for sub in cls.__subclasses__()))

    for cls in tree(RevectorError):
        assert isinstance(cls("message").retryable, bool)
        assert cls.exit_code in (1, 2, 3)


def test_paths_of_the_configuration_are_relative_to_its_file(tmp_path):
    (tmp_path / "revector.toml").write_text('home = "data"\n[collections.a]\nmodel = "m"\n')
    settings = load_settings(environ={}, cwd=tmp_path)
    assert settings.home == tmp_path / "data"
    assert settings.collection("a").model == "m"
    other = settings.collection("other")
    assert (other.model_for("documents"), other.model_for("images")) == ("all-MiniLM-L6-v2", "ViT-B-32")


@pytest.mark.parametrize("named", ["./m", "../m", "local-dir:./m"])
def test_a_model_s_path_starts_from_the_file_whether_it_is_this_or_the_next_one(tmp_path, named):
    (tmp_path / "revector.toml").write_text(
        f'[collections.a]\nmodel = "{named}"\nnext = {{ model = "{named}" }}\n'
    )
    a = load_settings(tmp_path / "revector.toml", environ={}, cwd=Path("/")).collection("a")
    assert a.next_model_for("documents") == a.model_for("documents")
    assert a.model_for("documents") == str(tmp_path / named.removeprefix("local-dir:"))


def test_the_environment_wins_over_the_file(tmp_path):
    (tmp_path / "revector.toml").write_text('device = "cpu"\ntenant = "file"\n')
    settings = load_settings(environ={"REVECTOR_TENANT": "env"}, cwd=tmp_path)
    assert (settings.tenant, settings.device) == ("env", "cpu")


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("hom = 'x'", "Did you mean home?"),
        ("[limits]\nmax_file = 1", "Did you mean max_file_mb?"),
        ("[collections.a.chunking]\nmax_token = 1", "Did you mean max_tokens?"),
        ("[collections.ocr.next]\nmodle = 'm'", "Did you mean model?"),
        ("[webhook.senders.ocr]\nsecrets = 's'\nuploads = 1", "Known: secrets, auth, collections."),
        ("[collections.a.guard]\nmin_delete = 1", "Did you mean min_deleted?"),
        ("[limits]\nmax_file_mb = 0", "limits.max_file_mb"),
        ("[collections.a]\nmask = 'all'", "collections.a.mask"),
        ("device = 'gpu'", "device"),
        ("not toml", "not valid TOML"),
        ("[collections.a]\nnext = 'm'", 'a.next: it is a section. Write next = { model = "..." }. See'),
        ("[collections.a.next]\nvectors = 'bit'", "Write vectors = { dtype = ... }. See"),
        ("[collections.a.vectors]\nm = 40", "a.vectors: ef_construction must be at least twice m. See"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, toml, says):
    (tmp_path / "revector.toml").write_text(toml)
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        load_settings(environ={}, cwd=tmp_path)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("device = 'gpu'", "device: 'gpu' is not understood. Give auto or cuda:*, or"),
        ("device = 'cpu,'", "device: 'cpu,' is not understood. Give auto or cuda:*, or"),
        ("[collections.a.ocr]\nlanguages = 'kor eng'", "'kor eng' is not understood. Give tesseract's names"),
        (
            "[endpoints.a]\nurl = 'host:8080'\nmodel = 'm'\nrevision = 'r'\ndim = 1\nmax_tokens = 99",
            "endpoints.a.url: 'host:8080' is not understood. Give an address such as http://",
        ),
    ],
)
def test_who_writes_a_setting_wrong_reads_words_and_no_regular_expression(tmp_path, toml, says):
    (tmp_path / "revector.toml").write_text(toml)
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        load_settings(environ={}, cwd=tmp_path)


def test_every_statement_has_one_name_and_names_its_tenant():
    exempt = set(
        "find_tenant create_tenant find_space get_space create_space create_vector_partition "
        "create_vector_index copy_vectors keyword_hits keyword_hits_as_of refresh_statistics "
        "table_sizes write_vectors wait_for_tags begin_vector_rebuild finish_vector_rebuild "
        "drop_broken_indexes index_only find_probe keep_probe wait_for_build".split()
    )
    for path in sorted((ROOT / "registry/sql").glob("*.sql")):
        for name, body in load(path.stem).items():
            assert "tenant" in body or name in exempt, f"{path.name}: {name}"


def _with_doctests():
    for package in ("schemas", "registry", "tasks", "flows"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("module", list(_with_doctests()))
def test_examples_in_docstrings_are_true(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0
