"""Bundles, and what a sidecar says of its image."""

from __future__ import annotations

import codecs
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.document import Metadata
from schemas.errors import ParseFailed, UnsupportedFormat
from tasks.images.sidecars import (
    BUNDLE_MAGIC,
    HEADER_BYTES,
    MAX_SIDECAR_BYTES,
    SIDECAR_SUFFIXES,
    bundle_header,
    read_sidecar,
    split_bundle,
)
from tasks.parsing.base import choose_parser
from tasks.parsing.kinds import MAGIC


def said(value):
    return read_sidecar(".json", json.dumps(value).encode())


@settings(deadline=None)
@given(st.sampled_from(SIDECAR_SUFFIXES), st.binary(max_size=300), st.binary(max_size=300))
def test_a_bundle_gives_back_what_was_put_in(suffix, sidecar, image):
    header = bundle_header(suffix, len(sidecar))
    assert len(header) == HEADER_BYTES
    assert split_bundle(header + sidecar + image) == (image, suffix, sidecar)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_a_plain_image_is_all_image(data):
    if not data.startswith(BUNDLE_MAGIC):
        assert split_bundle(data) == (data, "", None)


@pytest.mark.parametrize("size", [16, 20, 31, 32, 36])
def test_a_bundle_that_is_cut_off_before_its_image_is_refused(size):
    with pytest.raises(ParseFailed, match="incompletely"):
        split_bundle((bundle_header(".txt", 5) + b"a cat")[:size])


def test_no_image_and_no_text_starts_like_a_bundle():
    assert len(BUNDLE_MAGIC) == 16
    assert BUNDLE_MAGIC[0] == 0, "no text starts so"
    clash = [kind for at, magic, kind in MAGIC if BUNDLE_MAGIC[at : at + len(magic)] == magic[: 16 - at]]
    assert [kind for kind in clash if kind != "tar archive"] == [], "whose mark lies behind this one"


@pytest.mark.parametrize(
    "sidecar", [b"%PDF-1.7", b"x" * 225 + b"ustar\0", b"From: a@b.kr\n\nbody", b"PK\x03\x04"]
)
def test_a_bundle_is_no_document_whatever_its_sidecar_looks_like(sidecar):
    with pytest.raises(UnsupportedFormat, match="image with a sidecar"):
        choose_parser(bundle_header(".txt", len(sidecar)) + sidecar + b"\x89PNG", "a.pdf")


@pytest.mark.parametrize("suffix", [".txt", ".caption"])
@pytest.mark.parametrize("data", [
    " 고양이와 개\n".encode(), codecs.BOM_UTF8 + "고양이와 개".encode(), "고양이와 개".encode("utf-16"),
    "고양이와 개\0".encode(),
])  # fmt: skip
def test_a_text_is_the_caption(suffix, data):
    assert read_sidecar(suffix, data).caption == "고양이와 개"
    assert read_sidecar(suffix, data).metadata == Metadata()


def test_an_empty_text_says_nothing():
    assert read_sidecar(".txt", b"").caption == ""


def test_json_is_read_by_its_names():
    found = said(
        {
            "Caption": "A red shoe", "title": "Shoe 7", "author": ["A", "B"], "date": "2026-04-17",
            "tags": ["shoe", "red", "shoe"], "keywords": "sale; summer,red", "sku": 1234, "price": 9.5,
            "stock": True, "note": None, "box": [1, 2], "Place": "서울",
        }
    )  # fmt: skip
    assert found.caption == "A red shoe"
    assert found.metadata == Metadata(
        title="Shoe 7", author="A\nB", authored_at=datetime(2026, 4, 17, tzinfo=UTC),
        tags=("shoe", "red", "sale", "summer"),
        extra={"sku": "1234", "price": "9.5", "stock": "true", "Place": "서울"},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["caption", "text", "description"])
def test_the_caption_has_several_names(name):
    assert said({name: "a cat"}).caption == "a cat"


def test_of_several_captions_none_vanishes():
    found = said({"description": "long", "text": "short", "caption": "best"})
    assert found.caption == "best"
    assert found.metadata.extra == {"description": "long", "text": "short"}


def test_a_list_of_captions_is_one_a_line():
    assert said({"caption": ["a cat", "on a mat"]}).caption == "a cat\non a mat"


def test_korean_texts_of_old_programs_are_read():
    for caption in ("빨간 운동화를 신은 고양이", "파란 똠방각하 펲시", "신발", "size 270 · 운동화"):
        assert read_sidecar(".txt", caption.encode("cp949")).caption == caption


def test_the_class_counts_in_any_case():
    assert said({"Class": "신발"}).metadata.extra == {"class": "신발"}


def test_a_date_that_cannot_be_read_is_kept_as_it_is():
    found = said({"date": "last summer"})
    assert (found.metadata.authored_at, found.metadata.extra) == (None, {"date": "last summer"})


def test_what_no_database_takes_is_taken_out():
    found = read_sidecar(
        ".json", b'{"caption": "a\\u0000 cat \\ud800", "x\\u0000": "\\udc00y", "tags": ["\\u0000"]}'
    )
    assert found.caption == "a cat \ufffd"
    assert found.metadata.extra == {"x": "\ufffdy"}
    assert found.metadata.tags == ()


@pytest.mark.parametrize(("suffix", "data", "why"), [
    (".txt", bytes(range(32)) * 20, "is no text"),
    (".txt", "红色的鞋子".encode("gb18030"), "neither UTF-8"),
    (".txt", "赤い靴".encode("shift-jis"), "neither UTF-8"),
    (".txt", "soulier très élégant".encode("latin-1"), "neither UTF-8"),
    (".json", b'{"class": ["cat", "dog"]}', "names several classes"),
    (".json", b'{"Class": {}}', "has a class that is no text"),
    (".json", b"", "is no JSON"),
    (".json", b'{"caption": "a', "is no JSON"),
    (".json", b"[" * 100_000, "is no JSON"),
    (".json", b'{"n": ' + b"9" * 5000 + b"}", "is no JSON"),
    (".json", b'["a cat"]', "but no object"),
    (".json", b'"a cat"', "but no object"),
    (".json", b'{"caption": {"en": "a cat"}}', "has a caption that is no text"),
    (".json", b'{"caption": [["a"]]}', "has a caption that is no text"),
    (".json", b'{"text": {"a": 1}}', "has a caption that is no text"),
    (".json", b'{"tags": {"a": 1}}', "has tags that are no list of text"),
    (".json", b'{"keywords": [{}]}', "has keywords that are no list of text"),
    (".txt", b"x" * (MAX_SIDECAR_BYTES + 1), "the limit is 1,000,000"),
])  # fmt: skip
def test_a_sidecar_that_cannot_be_read_is_refused_by_its_name(suffix, data, why):
    with pytest.raises(ParseFailed, match=why) as caught:
        read_sidecar(suffix, data)
    assert f"sidecar ({suffix})" in caught.value.message
    assert caught.value.advice


NAMES = st.sampled_from(["caption", "text", "tags", "keywords", "date", "title", "author"])


@settings(deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=5),
    max_leaves=10,
))  # fmt: skip
def test_any_json_is_read_or_refused(value):
    try:
        found = said(value)
    except ParseFailed:
        return
    texts = [found.caption, found.metadata.title or "", found.metadata.author or "", *found.metadata.tags]
    texts += [*found.metadata.extra, *found.metadata.extra.values()]
    assert all(type(text) is str for text in texts)
    assert all("\0" not in text for text in texts)
    "".join(texts).encode()


@settings(deadline=None)
@given(st.sampled_from(SIDECAR_SUFFIXES), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(suffix, data):
    try:
        found = read_sidecar(suffix, data)
    except ParseFailed:
        return
    found.caption.encode()
