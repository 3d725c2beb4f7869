"""Plain text, CSV and source code."""

import time

import pytest

from schemas.document import Element
from tasks.parsing import code, delimited, text

KOREAN = "가나다 회사의 보고서입니다.\n둘째 줄도 있습니다."


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp949", "euc-kr"]
)
def test_korean_is_read_in_every_common_encoding(encoding: str) -> None:
    source = KOREAN + "\n\n" + "More words in English, to see both scripts. " * 4
    data = source.encode(encoding)
    if encoding == "utf-16-be":
        data = b"\xfe\xff" + data
    assert text.decode(data) == source


@pytest.mark.parametrize(
    ("source", "encoding"),
    [
        ("これは日本語の文章です。文字コードを調べるための十分に長い例文を書いています。" * 4, "shift_jis"),
        ("这是一个用于检测编码的中文句子，内容需要足够长才能可靠地判断。" * 4, "gb18030"),
        ("naïve café", "cp1252"),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю. " * 4, "cp1251"),
        ("Die Prüfung der Größe ist für Öfen nötig, sagte er über das Gerät. " * 4, "cp1252"),
    ],
)
def test_other_old_encodings_are_not_taken_for_korean(source: str, encoding: str) -> None:
    assert text.decode(source.encode(encoding)) == source


def test_invalid_bytes_become_replacement_characters() -> None:
    data = "정상 문장입니다. ".encode() * 20 + b"\xff\xfe" + " 계속됩니다.".encode()
    assert text.decode(data) == "정상 문장입니다. " * 20 + "\ufffd\ufffd 계속됩니다."


def test_a_cp949_text_with_a_broken_byte_stays_korean() -> None:
    data = ("안녕하세요 여러분. " * 30).encode("cp949") + b"\x81 " + "끝.".encode("cp949")
    assert text.decode(data).startswith("안녕하세요 여러분. ")


def test_line_ends_of_all_systems_become_newlines() -> None:
    assert text.decode(b"a\r\nb\rc\nd") == "a\nb\nc\nd"


def test_paragraphs_are_elements_and_keep_their_lines() -> None:
    parsed = text.parse(b"one\ntwo\n\n \t\n  three\n\n\n\nfour\n")
    assert parsed.elements == (Element("one\ntwo"), Element("  three"), Element("four"))


def test_a_large_text_takes_linear_time() -> None:
    start = time.process_time()
    text.parse(("\n" * 500 + " " * 500).encode() * 4000)
    text.parse("\ufffd안녕 ".encode() * 300_000)
    assert time.process_time() - start < 3


def test_rows_of_a_csv_become_one_table() -> None:
    parsed = delimited.parse('이름,수량\n사과,3\n"배, 큰 것",1\n'.encode("cp949"))
    assert parsed.elements == (
        Element("| 이름 | 수량 |\n| --- | --- |\n| 사과 | 3 |\n| 배, 큰 것 | 1 |", "table"),
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    data = "\n".join(delimiter.join(row) for row in (("a", "b"), ("1,5", "x"), ("2", "y"))).encode()
    if delimiter == ",":
        data = data.replace(b"1,5", b'"1,5"')
    assert delimited.parse(data).elements[0].text.splitlines()[2] == "| 1,5 | x |"


def test_a_csv_without_header_gets_one() -> None:
    assert delimited.parse(b"1,2\n3,4\n").elements[0].text.splitlines() == [
        "| column 1 | column 2 |",
        "| --- | --- |",
        "| 1 | 2 |",
        "| 3 | 4 |",
    ]


def test_ragged_rows_pipes_and_newlines_stay_in_their_cells() -> None:
    rows = delimited.parse(b'a,b,c\n"x|y","two\nlines"\n').elements[0].text.splitlines()
    assert rows == ["| a | b | c |", "| --- | --- | --- |", r"| x\|y | two lines |  |"]


def test_a_quote_that_is_never_closed_does_not_swallow_the_rows() -> None:
    rows = delimited.parse(b'name,size\n"tall,1\nsmall,2\n').elements[0].text.splitlines()
    assert rows[2:] == ['| "tall | 1 |', "| small | 2 |"]


PYTHON = '''"""Module words."""

import os


# about the function
@cache
def one(a):
    return a


LIMIT = 3


class Small:
    """Short."""

    def method(self):
        pass
'''


def test_python_is_cut_at_its_definitions() -> None:
    elements = code.parse_python(PYTHON.encode()).elements
    assert [(e.symbol, e.text.split("\n")[0]) for e in elements] == [
        ("", '"""Module words."""'),
        ("one", "# about the function"),
        ("", "LIMIT = 3"),
        ("Small", "class Small:"),
    ]
    assert {e.kind for e in elements} == {"code"}


def test_a_large_class_gives_its_methods_and_loses_no_line() -> None:
    methods = "".join(f"    def m{i}(self):\n" + "        x = 1\n" * 20 + "\n" for i in range(4))
    source = f"class Big:\n    '''Doc.'''\n\n{methods}    LAST = 1\n\n\nprint(Big)\n"
    elements = code.parse_python(source.encode()).elements
    assert [e.symbol for e in elements] == ["Big", "Big.m0", "Big.m1", "Big.m2", "Big.m3", "Big", ""]
    kept = [line for e in elements for line in e.text.split("\n") if line.strip()]
    assert kept == [line for line in source.split("\n") if line.strip()]


@pytest.mark.parametrize("source", ["y = (\n\nx = 1\n", "(" * 5000, "x\0y", "a = 1"])
def test_python_without_a_definition_is_kept_as_blocks(source: str) -> None:
    elements = code.parse_python(source.encode()).elements
    assert "\n\n".join(e.text for e in elements).strip() == source.strip()
    assert {e.symbol for e in elements} == {""}


def test_other_languages_are_cut_at_unindented_lines_after_blank_ones() -> None:
    source = "func a() {\n  x()\n\n  y()\n\n}\n\nfunc b() {\n}\n"
    assert [e.text for e in code.parse(source.encode()).elements] == [
        "func a() {\n  x()\n\n  y()\n\n}",
        "func b() {\n}",
    ]
