"""Names of documents lead into their source, and nowhere else."""

from __future__ import annotations

import ntpath
import posixpath
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.errors import EventRefused
from schemas.source import Source
from tasks.sources.filesystem import MAX_URI_CHARACTERS
from tasks.sources.routing import require_uri, route, route_url

DOCS = Source("docs", "/srv/docs", id=1)
HR = Source("hr", "/srv/docs/hr", id=2)
DOCUMENTS = Source("documents", "/srv/docs-old", id=3)
BUCKET = Source("bucket", "s3://b/docs", id=4)
INNER = Source("inner", "s3://b/docs/hr", id=5)

pieces = st.sampled_from(
    ["..", ".", "", "a", "hr", "%2e%2e", "..%2f", "C:", "~", "\\", "..\\", "한", "\x00", "\n"]
)
names = st.one_of(
    st.text(max_size=30),
    st.lists(pieces, max_size=6).map("/".join),
    st.lists(pieces, max_size=6).map("\\".join),
    st.lists(st.one_of(pieces, st.characters()), max_size=8).map("".join),
)


@given(names, st.booleans())
@example("..", False)
@example("a/../../etc/passwd", False)
@example("..\\..\\x", True)
@example("0:", True)
def test_what_is_accepted_stays_below_the_root(name, folder):
    try:
        uri = require_uri(name, folder=folder)
    except EventRefused:
        return
    root = "/srv/docs"
    assert posixpath.normpath(posixpath.join(root, uri)) == (f"{root}/{uri}" if uri else root)
    if not ntpath.splitdrive(uri)[0]:  # "Q:1.txt" and "0:" are names of files where revector runs
        assert ntpath.normpath(ntpath.join("C:\\docs", uri)).startswith("C:\\docs")
    assert len(uri) <= MAX_URI_CHARACTERS
    assert unicodedata.is_normalized("NFC", uri)
    assert uri.encode().decode() == uri
    assert require_uri(uri, folder=folder) == uri


@given(st.lists(st.from_regex(r"[a-z가-힣 %~.]{0,5}[a-z가-힣]", fullmatch=True), min_size=1, max_size=5))
def test_ordinary_paths_are_accepted_as_they_are(parts):
    assert require_uri("/".join(parts)) == "/".join(parts)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "//host/share", "C:\\x", "c:/x", "C:", "\\\\host\\x", "..", "a/..", "./a", "a/./b",
        "a//b", "a/", "a\x00b", "a\nb", "a\x7fb", "a\x85b", "\ud800", "a/\udfff.txt", "x" * 601,
        "a\\..\\b", "",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused_with_a_message_that_can_be_shown(name):
    with pytest.raises(EventRefused) as caught:
        require_uri(name)
    assert str(caught.value).isprintable()
    assert str(caught.value).encode()


@pytest.mark.parametrize(
    "name", ["%2e%2e/x", "%2Fetc%2Fpasswd", "..%00", "...", "a..b", "~/x", "-rf", "a b", "x" * 600]
)
def test_a_name_that_only_looks_dangerous_means_itself(name):
    assert require_uri(name) == name


def test_names_are_nfc():
    assert require_uri(unicodedata.normalize("NFD", "인사/김.pdf")) == "인사/김.pdf"


def test_only_a_folder_may_be_everything_or_end_in_a_slash():
    assert [require_uri(name, folder=True) for name in ("", "hr/", "hr")] == ["", "hr", "hr"]
    with pytest.raises(EventRefused):
        require_uri("/", folder=True)
    with pytest.raises(EventRefused):
        require_uri("hr//", folder=True)


def test_where_there_is_one_source_it_need_not_be_named():
    assert route([DOCS], "hr/kim.pdf", source=None) == (DOCS, "hr/kim.pdf")


def test_where_there_are_several_the_refusal_names_them():
    with pytest.raises(EventRefused, match="docs, documents"):
        route([DOCS, DOCUMENTS], "kim.pdf", source=None)
    with pytest.raises(EventRefused, match="docs, documents"):
        route([DOCS, DOCUMENTS], "kim.pdf", source="other")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("hr/kim.pdf", (HR, "kim.pdf")),
        ("hr", (HR, "")),
        ("hr2/kim.pdf", (DOCS, "hr2/kim.pdf")),
        ("", (DOCS, "")),
    ],
)
def test_what_lies_in_a_nested_source_belongs_to_it(uri, expected):
    assert route([DOCS, HR, DOCUMENTS], uri, source="docs") == expected
    assert route([HR, DOCUMENTS, DOCS], uri, source="docs") == expected


@given(st.from_regex(r"[a-z]{1,3}(/[a-z]{1,3}){0,3}", fullmatch=True), st.permutations([DOCS, HR, DOCUMENTS]))
def test_routing_changes_the_name_but_not_the_place(uri, sources):
    source, found = route(sources, uri, source="docs")
    assert f"{source.root_url}/{found}".rstrip("/") == f"/srv/docs/{uri}"


def test_a_source_that_macos_spells_in_nfd_is_found():
    outer = Source("all", "/srv", id=1)
    inner = Source("한", unicodedata.normalize("NFD", "/srv/한"), id=2)
    assert route([outer, inner], "한/a.txt", source="all") == (inner, "a.txt")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://b/docs/a b.pdf", (BUCKET, "a b.pdf")),
        ("s3://b/docs/hr/kim.pdf", (INNER, "kim.pdf")),
        ("s3://b/docs2/kim.pdf", None),
        ("s3://b/other", None),
        ("s3://other/docs/a", None),
        ("s3://b/docs/a//b", None),
        ("s3://b/docs/../x", None),
        ("s3://b/docs/folder/", None),
        ("s3://b/docs", None),
        ("/srv/docs/a", None),
    ],
)
def test_an_object_belongs_to_the_innermost_source_or_to_none(url, expected):
    assert route_url([DOCS, BUCKET, INNER], url) == expected
