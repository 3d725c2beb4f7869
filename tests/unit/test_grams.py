"""Keyword grams: the short ways give what the long way gives."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.grams import text_grams

ODD = (*"aBs9_-. \t\x1f\x0b'~ßéİ½²가힣ㄱ漢ーﾊﾟ", "ies", "parse_config", "HTTPServer2", "GPU를", "__", "x" * 40)
texts = st.one_of(st.lists(st.sampled_from(ODD), max_size=15).map("".join), st.text(max_size=40))


def test_grams_as_they_always_were():
    expected = {
        "__init__ a__b _x_ HTTPServer2": "a__b http httpserver2 init server x",
        "GPU를 parse_설정_file v2.0": "0 _file gpu parse_ v2 를 설정",
        "policies buses glasses ties status": "policy buse glasse ty status",
        "연차휴가를 ﾊﾟｿｺﾝ": "연차 차휴 휴가 가를 パソ ソコ コン",
        "Straße ΟΔΟΣ x" + "y" * 40: "stra strasse οδοσ x" + "y" * 40,
    }
    assert {text: text_grams(text) for text in expected} == {
        text: set(grams.split()) for text, grams in expected.items()
    }


@given(texts, texts)
def test_what_stands_beside_a_text_changes_none_of_its_grams(text: str, other: str) -> None:
    """Letters outside of ASCII take another way; and grams are remembered."""
    assert text_grams(f"{text} 한글 {other}") == text_grams(text) | text_grams(other) | {"한글"}
