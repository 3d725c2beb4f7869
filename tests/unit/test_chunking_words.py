"""Counting by words gives what the tokenizer gives, or is not used."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import NFKC, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel

from tasks.chunking import TokenCounter, words
from tasks.chunking.words import WordCounter, looks_at_words_alone
from tasks.embedding.card import DEFAULT_TEXT_MODEL, resolve_model

FOLDER = resolve_model(DEFAULT_TEXT_MODEL).path
ODD = (
    *"\x00\x0b\x0c\x1c\x1d\x1e\x1f\x7f\x85\xa0\u1680\u2003\u2028\u3000\ufeff\u200b\u200d\t\r\n ",
    *"aAbéÉﬁİßςſK.,-_'[]()|`~´½한가각漢語ｶﾟあ。！·…\u0301\u0345\u1100\u1161\ufffd\U0001f642",
    *("[SEP]", "[sep]", "[CL", "S]", "##ing", "running", "https://a.b/c?d=e_f", "x" * 120, "가" * 40),
)


def plain_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


PLAIN = plain_tokenizer()
COUNTER = TokenCounter.for_model(FOLDER)


def count_plainly(texts: list[str]) -> list[int]:
    return [len(PLAIN.encode(text, add_special_tokens=False)) for text in texts]


@given(
    st.lists(
        st.one_of(
            st.lists(st.sampled_from(ODD), max_size=20).map("".join),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
        ),
        max_size=4,
    )
)
@settings(max_examples=1000, deadline=None)
def test_a_text_has_the_tokens_of_its_words_and_signs(texts: list[str]) -> None:
    assert COUNTER.count(texts) == count_plainly(texts)


def test_words_are_forgotten_when_there_are_many_and_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def count(texts: list[str]) -> list[int]:
        asked.extend(texts)
        return count_plainly(texts)

    monkeypatch.setattr(words, "KEPT_WORDS", 2)
    counter = WordCounter(PLAIN, count)  # type: ignore[arg-type]
    long = "y" * (words.KEPT_BYTES + 1)
    assert counter.count(["one two", f"{long} (one)", "one"]) == count_plainly(
        ["one two", f"{long} (one)", "one"]
    )
    assert sorted(asked) == sorted(["one", "two", long])
    counter.count([f"two {long}"])
    assert asked[3:] == [long]  # never kept
    counter.count(["three"])
    asked.clear()
    assert counter.count(["one, three!"]) == count_plainly(["one, three!"])
    assert "one" in asked  # there were three of them: forgotten


@pytest.mark.parametrize(
    ("model", "normalizer", "splitter"),
    [
        (WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"), NFKC(), BertPreTokenizer()),
        (WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"), BertNormalizer(), ByteLevel()),
        (BPE({"a": 0}, []), BertNormalizer(), BertPreTokenizer()),
    ],
)
def test_other_tokenizers_count_whole_texts(model, normalizer, splitter) -> None:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    assert not looks_at_words_alone(tokenizer)


def test_tokens_that_someone_added_are_found_in_whole_texts() -> None:
    tokenizer = plain_tokenizer()
    assert looks_at_words_alone(tokenizer)
    tokenizer.add_special_tokens([AddedToken("<two words>", normalized=False)])
    assert looks_at_words_alone(tokenizer)
    counter = TokenCounter(tokenizer, "")
    assert counter.count(["a <two words> b", "two words"]) == [3, 2]
    tokenizer.add_tokens([AddedToken("é t", normalized=True)])
    assert not looks_at_words_alone(tokenizer)
