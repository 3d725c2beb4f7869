import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.chunk import Chunk, ChunkingPolicy
from schemas.document import CleanDocument
from tasks.chunking import TokenCounter, chunk_document, default_policy
from tasks.embedding.card import DEFAULT_TEXT_MODEL, resolve_model
from tests.chunking_corpus import make_document, make_english, make_korean, make_words

CARD = resolve_model(DEFAULT_TEXT_MODEL)
COUNTER = TokenCounter.for_model(CARD.path)
POLICY = default_policy(CARD)
SMALL = ChunkingPolicy(max_tokens=40, min_tokens=16, tokenizer=COUNTER.identity)


def chunk(document: CleanDocument, policy: ChunkingPolicy = POLICY) -> tuple[Chunk, ...]:
    chunks = chunk_document(document, policy, COUNTER)
    assert_invariants(document, chunks, policy)
    return chunks


def assert_invariants(document: CleanDocument, chunks: tuple[Chunk, ...], policy: ChunkingPolicy) -> None:
    last = 0
    for item in chunks:
        assert item.start >= last
        assert not document.text[last : item.start].strip(), "text was lost"
        assert document.text[item.start : item.end] in item.text
        assert item.tokens == COUNTER.count([item.text])[0] <= policy.max_tokens
        last = item.end
    assert not document.text[last:].strip(), "text was lost"


def test_default_policy_uses_the_models_limit_without_its_special_tokens():
    assert (POLICY.max_tokens, POLICY.min_tokens) == (254, 101)
    assert POLICY.tokenizer == COUNTER.identity


_LINES = st.text(
    st.sampled_from(list("가나다 ab.,!?\n\"'|-#。…1 "))
    | st.characters(codec="utf-8", exclude_characters="\0"),
    max_size=300,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["heading", "text", "list_item", "table", "code"]), _LINES),
        max_size=8,
    )
)
def test_spans_cover_all_text_once_and_no_chunk_exceeds_the_limit(blocks):
    chunk(make_document(blocks), SMALL)


def test_long_korean_sentence_is_cut_at_its_commas():
    rng = random.Random(1)
    words = make_words(rng)
    clauses = [" ".join(rng.choices(words, k=9)) + "," for _ in range(12)]
    chunks = chunk(make_document([("text", " ".join(clauses))]))
    assert len(chunks) > 3
    assert all(item.text.endswith(",") for item in chunks)


def test_word_without_spaces_is_cut_inside():
    chunks = chunk(make_document([("text", "가나다라마바사" * 500)]))
    assert len(chunks) > 10
    assert max(len(item.text) for item in chunks) <= 8 * POLICY.max_tokens


def test_heading_starts_a_chunk_and_never_ends_one():
    rng = random.Random(2)
    words = make_words(rng)
    blocks = []
    for section in range(60):
        blocks.append(("heading", f"{section}장 {rng.choice(words)}"))
        blocks += [("text", make_korean(rng, words)) for _ in range(rng.randrange(1, 6))]
    headings = {text for kind, text in blocks if kind == "heading"}
    for item in chunk(make_document(blocks)):
        assert item.text.splitlines()[-1] not in headings


def test_sections_that_fill_a_chunk_are_chunks_of_their_own():
    rng = random.Random(3)
    blocks = []
    for section in range(20):
        blocks.append(("heading", f"Section {section}"))
        blocks.append(("text", " ".join(make_english(rng) for _ in range(9))))
    chunks = chunk(make_document(blocks))
    starts = sum(item.text.startswith("Section ") for item in chunks)
    assert starts == 20


def test_page_and_heading_are_those_of_the_first_character():
    rng = random.Random(4)
    blocks = [("heading", "Terms"), ("text", " ".join(make_english(rng) for _ in range(40)))]
    blocks += [("heading", "Fees"), ("text", " ".join(make_english(rng) for _ in range(10)))]
    chunks = chunk(make_document(blocks))
    assert (chunks[0].page, chunks[0].heading) == (1, "Terms")
    assert (chunks[1].page, chunks[1].heading) == (2, "Terms")
    assert chunks[-1].page in (3, 4) and chunks[-1].heading == "Fees"


def test_table_that_fits_is_one_chunk_with_its_heading():
    table = "| 항목 | 값 |\n| --- | --- |\n| 기한 | 7일 |"
    chunks = chunk(
        make_document([("text", "앞 문장이다."), ("heading", "환불"), ("table", table), ("text", "뒤.")])
    )
    assert [(item.kind, item.text) for item in chunks] == [
        ("text", "앞 문장이다."),
        ("table", "환불\n\n" + table),
        ("text", "뒤."),
    ]


def test_large_table_is_cut_between_rows_and_repeats_its_header():
    rows = [f"| item {i} | {i * 7} units | shelf {i % 9} |" for i in range(100)]
    header = "| name | amount | place |\n| --- | --- | --- |"
    chunks = chunk(make_document([("table", "\n".join([header, *rows]))]))
    assert len(chunks) > 3
    assert all(item.text.startswith(header + "\n") for item in chunks)
    assert [row for item in chunks for row in item.text.splitlines()[2:]] == rows


def test_adding_a_row_to_a_large_table_changes_at_most_three_chunks():
    rows = [f"| item {i} | {i * 7} units | shelf {i % 9} |" for i in range(200)]
    header = ["| name | amount | place |", "| --- | --- | --- |"]
    before = {item.hash for item in chunk(make_document([("table", "\n".join(header + rows))]))}
    for place in range(0, 200, 7):
        more = [*rows[:place], "| new | 1 unit | shelf 0 |", *rows[place:]]
        after = chunk(make_document([("table", "\n".join(header + more))]))
        assert sum(item.hash not in before for item in after) <= 3


def test_row_longer_than_a_chunk_is_cut_under_its_header():
    row = "| " + " | ".join(f"cell number {i}" for i in range(100)) + " |"
    chunks = chunk(make_document([("table", f"| a | b |\n| --- | --- |\n{row}\n| x | y |")]))
    assert len(chunks) > 1
    assert all(item.text.startswith("| a | b |") for item in chunks)


def test_header_that_fills_a_chunk_is_not_repeated():
    header = "| " + " | ".join(f"long column name {i}" for i in range(60)) + " |"
    rows = "\n".join(f"| row {i} |" for i in range(50))
    chunks = chunk(make_document([("table", f"{header}\n| --- |\n{rows}")]))
    assert sum("long column name 0 " in item.text for item in chunks) == 1


def _function(number: int, lines: int = 6) -> str:
    body = "\n".join(f"    total_{number} += compute(value, {number}, {i})" for i in range(lines))
    return f"def function_{number}(value):\n{body}\n    return total_{number}"


def test_each_definition_is_one_chunk_named_by_its_symbol():
    blocks = [("code", "import os\nimport sys"), *(("code", _function(i)) for i in range(5))]
    symbols = ["", *(f"function_{i}" for i in range(5))]
    chunks = chunk(make_document(blocks, symbols=symbols))
    assert [item.heading for item in chunks] == symbols
    assert [item.text for item in chunks] == [text for _, text in blocks]
    assert {item.kind for item in chunks} == {"code"}


def test_adding_a_function_changes_one_chunk():
    functions = [_function(i) for i in range(20)]
    before = {item.hash for item in chunk(_module(functions))}
    for place in range(21):
        after = chunk(_module([*functions[:place], _function(99), *functions[place:]]))
        assert sum(item.hash not in before for item in after) == 1


def _module(functions: list[str]) -> CleanDocument:
    blocks = [("code", "import os"), ("code", "LIMIT = 3"), *(("code", text) for text in functions)]
    return make_document(blocks, symbols=["", "", *(text[4:14] for text in functions)])


def test_module_lines_outside_definitions_are_one_chunk():
    assert chunk(_module([_function(1)]))[0].text == "import os\n\nLIMIT = 3"


def test_large_class_is_cut_before_its_methods():
    methods = ["    " + _function(i).replace("\n", "\n    ") for i in range(12)]
    text = "class Ledger:\n" + "\n\n".join(methods)
    chunks = chunk(make_document([("code", text)], symbols=["Ledger"]))
    assert len(chunks) > 2
    assert all(item.text.lstrip().startswith(("class ", "def ")) for item in chunks)
    assert all(item.text.startswith("    def ") for item in chunks[1:])
    assert {item.heading for item in chunks} == {"Ledger"}


@pytest.mark.parametrize("blocks", [[], [("text", "")], [("text", " \n "), ("heading", "")]])
def test_document_without_text_has_no_chunks(blocks):
    assert chunk(make_document(blocks)) == ()


def test_document_of_headings_only_is_kept():
    assert [item.text for item in chunk(make_document([("heading", "A"), ("heading", "B")]))] == ["A\n\nB"]


class JoiningCounter:
    """Counts more for a text than for its parts, as some tokenizers do across spaces."""

    def count(self, texts):
        return [len(text.split()) + len(text) // 20 for text in texts]


def test_limit_holds_where_counts_of_parts_do_not_add_up():
    rng = random.Random(5)
    document = make_document([("text", " ".join(make_english(rng) for _ in range(60)))])
    chunks = chunk_document(document, SMALL, JoiningCounter())
    assert max(JoiningCounter().count([item.text for item in chunks])) <= SMALL.max_tokens
    assert "".join(item.text for item in chunks).replace(" ", "") == document.text.replace(" ", "")


def test_five_megabytes_are_chunked_in_seconds():
    rng = random.Random(6)
    words = make_words(rng)
    sentences = [make_korean(rng, words) for _ in range(3000)]
    paragraphs = [("text", " ".join(rng.choices(sentences, k=5))) for _ in range(9500)]
    document = make_document(paragraphs)
    assert len(document.text.encode()) > 5_000_000
    started = time.process_time()
    assert len(chunk_document(document, POLICY, COUNTER)) > 10_000
    assert time.process_time() - started < 60
