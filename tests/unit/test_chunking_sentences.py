import time

import pytest

from tasks.chunking.sentences import (
    PARAGRAPH,
    SENTENCE,
    split_characters,
    split_clauses,
    split_sentences,
)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end, _ in split_sentences(text, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "환불은 됩니다. 기한은 7일이에요. 왜요?",
            ["환불은 됩니다.", "기한은 7일이에요.", "왜요?"],
        ),
        ("그는 말했다. “알겠다.” 그리고 떠났다…", ["그는 말했다.", "“알겠다.”", "그리고 떠났다…"]),
        ("붙은 문장이다.다음 문장이다.", ["붙은 문장이다.", "다음 문장이다."]),
        ("정말(진짜로!) 좋다. 끝.", ["정말(진짜로!)", "좋다.", "끝."]),
        ("这是。那是！完", ["这是。", "那是！", "完"]),
        ("It is 3.5 mm. Next one.", ["It is 3.5 mm.", "Next one."]),
        (
            "See e.g. Dr. Kim et al. 2020 here. Done!",
            ["See e.g. Dr. Kim et al. 2020 here.", "Done!"],
        ),
        ("J. R. Smith left. So did I.", ["J. R. Smith left.", "So did I."]),
        (
            "As Fig. 3 shows. He said no. Then left.",
            ["As Fig. 3 shows.", "He said no.", "Then left."],
        ),
        ("1. 첫째 항목", ["1. 첫째 항목"]),
        ("“Why?” he asked. Nobody knew.", ["“Why?” he asked.", "Nobody knew."]),
        ("제1장 서론 ........ 12\n제2장 본론", ["제1장 서론 ........ 12", "제2장 본론"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text, expected):
    assert sentences(text) == expected


def test_blank_line_ends_a_paragraph_and_a_line_end_a_sentence():
    text = "one\ntwo\n\nthree"
    assert [rank for *_, rank in split_sentences(text, 0, len(text))] == [
        SENTENCE,
        PARAGRAPH,
        PARAGRAPH,
    ]


def test_clauses_end_after_commas_and_table_cells():
    text = "가격은 1,000원이고, 배송은 | 무료이다"
    parts = split_clauses(text, (0, len(text), SENTENCE))
    assert [text[s:e] for s, e, _ in parts] == ["가격은 1,000원이고,", "배송은 |", "무료이다"]
    assert parts[-1][2] == SENTENCE


def test_slices_of_a_long_word_do_not_move_when_characters_are_put_in_front():
    word = "".join(chr(0xAC00 + (i * i * 37) % 9000) for i in range(3000))
    longer = "앞에붙은글자" + word
    cuts = {word[s:e] for s, e, _ in split_characters(word, (0, len(word), SENTENCE))}
    moved = {longer[s:e] for s, e, _ in split_characters(longer, (0, len(longer), SENTENCE))}
    assert "".join(longer[s:e] for s, e, _ in split_characters(longer, (0, len(longer), 2))) == longer
    assert len(cuts - moved) <= 4
    assert max(map(len, cuts)) <= 24


@pytest.mark.parametrize("text", ["a" + "." * 300_000 + "b", '."' * 150_000, "\n" * 300_000, " " * 300_000])
def test_hostile_punctuation_is_split_in_linear_time(text):
    started = time.process_time()
    split_sentences(text, 0, len(text))
    assert time.process_time() - started < 5
