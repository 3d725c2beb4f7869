"""Mojibake is put right where that is certain, and nothing else is touched."""

import pytest

from schemas.document import Element, Metadata, ParsedDocument
from tasks.parsing.repair import repair

KOREAN = [
    "안녕하세요",
    "보고서",
    "이번 점검은 냉동창고가 계약서에 적힌 온도를 지키는지 확인하기 위한 것이다.",
    "회의록 2026년 3월",
]
RIGHT = [
    "Le café était fermé à l'été. « Où êtes-vous ? » À côté, dît-il.",
    "CAFÉ» L'ÉTÉ À LA MER — “Ça va”",
    "Größe Übung Straße ÄÖÜ äöüß „Hallo“ – ÄÜ",
    "INFORMAÇÕES E CONDIÇÕES DE OPERAÇÃO NÃO PREVISTAS",
    "¿Qué? ¡Sí! Año nuevo, señor Muñoz",
    "Đường phố Hà Nội rất đẹp và đông đúc: Â, Ă, Ê, Ô, â ã à á ạ",
    "这是中文句子，内容完整。日本語の文章です。",
    "Ещё раз. Ελληνικά κείμενο. עברית נוץ. نص عربي",
    "¡¢£¤¥¦§¨©ª«¬®¯°±²³´µ¶·¸¹º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
    "°±²³´µ¶·¸¹º»¼½¾¿",
    "5 °C ± 2 µm × 3² ½ ¼ ¾ ®©",
    "Ã é uma letra; Â também. Ã© is what é looks like when broken.",
    "한국어 문장과 café, Ä Ö Ü 그리고 ÀÁÂ 표",
    "Türkçe İstanbul ığüşöç ĞÜŞİÖÇ, Łódź żółć gęślą jaźń",
    "aGVsbG8gd29ybGQ= QUJDREVGR0g=",
]


def document(*texts: str, title: str | None = None) -> ParsedDocument:
    return ParsedDocument("text", "text/plain", tuple(map(Element, texts)), Metadata(title=title))


def utf8_as_latin1(text: str) -> str:
    return text.encode().decode("latin-1")


def utf8_as_windows(text: str) -> str:
    return "".join(
        bytes([b]).decode("cp1252") if b not in b"\x81\x8d\x8f\x90\x9d" else chr(b) for b in text.encode()
    )


def cp949_as_latin1(text: str) -> str:
    return text.encode("cp949").decode("latin-1")


def twice(text: str) -> str:
    return utf8_as_latin1(utf8_as_latin1(text))


@pytest.mark.parametrize("text", KOREAN)
@pytest.mark.parametrize("break_text", [utf8_as_latin1, utf8_as_windows, cp949_as_latin1, twice])
def test_korean_comes_back_and_says_so(text, break_text):
    repaired = repair(document("English words", break_text(text), title=break_text(text)))
    assert [e.text for e in repaired.elements] == ["English words", text]
    assert repaired.metadata.title == text
    assert repaired.metadata.extra == {"repaired": "mojibake"}


@pytest.mark.parametrize("text", ["Größe und Übung für Öfen", "L’été à la plage, café", "“Quoted” — it’s"])
def test_other_languages_come_back(text):
    assert repair(document(utf8_as_windows(text))).elements[0].text == text


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_right_is_the_very_same(text):
    parsed = document(text, title=text)
    assert repair(parsed) is parsed


def test_right_texts_of_many_languages_in_one_document_are_the_very_same():
    parsed = document(*RIGHT)
    assert repair(parsed) is parsed


def test_code_keeps_its_bytes():
    code = Element(utf8_as_latin1("안녕하세요"), "code")
    assert repair(ParsedDocument("python", "text/x-python", (code,))).elements == (code,)


def test_a_broken_title_is_repaired_beside_a_right_body():
    repaired = repair(document("본문은 멀쩡하다.", title=cp949_as_latin1("회의록 보고서")))
    assert (repaired.elements[0].text, repaired.metadata.title) == ("본문은 멀쩡하다.", "회의록 보고서")
