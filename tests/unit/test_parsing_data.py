"""JSON, JSON lines, XML, notebooks, reStructuredText and delimited text."""

import json

import pytest

from schemas.errors import DocumentError, ParseFailed
from tasks.parsing import data, delimited, notebook, rst, text, xml


def texts(parsed):
    return [e.text for e in parsed.elements]


def test_a_record_inserted_at_the_front_leaves_the_others_as_they_were():
    one, two, new = {"name": "a", "x": [1]}, {"name": "b", "x": [{"y": 2}]}, {"name": "n", "x": {}}
    before, after = (data.parse_json(json.dumps(rows).encode()) for rows in ([one, two], [new, one, two]))
    assert texts(after)[1:] == texts(before) == ["name: a\nx: 1", "name: b\nx.y: 2"]


def test_prose_in_a_record_is_an_element_of_its_own():
    parsed = data.parse_json(json.dumps([{"id": "7", "body": "one\ntwo"}]).encode())
    assert texts(parsed) == ["id: 7", "body: one\ntwo"]


def test_numbers_keep_all_their_digits():
    source = b'{"a": 1.50, "b": 1e400, "c": ' + b"9" * 5000 + b"}"
    assert texts(data.parse_json(source)) == ["a: 1.50\nb: 1e400", "c: " + "9" * 5000]


@pytest.mark.parametrize("source", [b'{"a": ', b"{'a': 1}", b"[" * 200_000, b'{"a":' * 100_000, b"nope"])
def test_json_that_cannot_be_read_fails_with_advice_and_stays_readable_as_text(source):
    with pytest.raises(ParseFailed) as caught:
        data.parse_json(source)
    assert caught.value.advice
    assert "".join(texts(data.parse_plain(source))).strip() == source.decode().strip()


def test_a_broken_line_of_json_lines_is_kept_and_told():
    parsed = data.parse_jsonl(b'{"a": "x"}\nbroken {\n{"a": "y"}\n')
    assert texts(parsed) == ["a: x", "broken {", "a: y"]
    assert [problem.part for problem in parsed.problems] == ["line 2"]


def test_entities_are_never_resolved(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hidden words")
    source = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><a>seen &x;</a>'.encode()
    with pytest.raises(ParseFailed, match="entities"):
        xml.parse(source)
    assert "".join(texts(xml.parse_plain(source))).strip() == "seen &x;"


def test_a_bomb_of_entities_ends_at_once():
    lines = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(20))
    with pytest.raises(ParseFailed):
        xml.parse(f'<!DOCTYPE a [<!ENTITY a0 "ha">{lines}]><a>&a20;</a>'.encode())


def test_xml_in_another_encoding_than_it_says_is_read():
    source = '<?xml version="1.0" encoding="UTF-8"?><a><b><c>한국어 글</c></b><b><c>둘</c></b></a>'
    assert texts(xml.parse(source.encode("cp949"))) == ["c: 한국어 글", "c: 둘"]


@pytest.mark.parametrize(
    "source", [b"<a>", b"<a></b>", b"<?xml version='1.0'?>" + b"<a>" * 50_000, b"<a", b"x"]
)
def test_xml_that_cannot_be_read_fails_with_advice(source):
    with pytest.raises(ParseFailed) as caught:
        xml.parse(source)
    assert caught.value.advice


def test_a_notebook_leaves_its_outputs_out():
    cells = [{"cell_type": "code", "source": ["x = 1"], "outputs": [{"text": ["7 seconds"]}]}]
    assert texts(notebook.parse(json.dumps({"cells": cells, "nbformat": 4}).encode())) == ["x = 1"]


def test_a_cut_notebook_still_gives_its_lines():
    cells = [{"cell_type": "markdown", "source": ["# 제목\n", "첫 줄\n", "끝"]}]
    cut = json.dumps({"cells": cells}, indent=1, ensure_ascii=False).encode()[:-12]
    with pytest.raises(ParseFailed):
        notebook.parse(cut)
    assert texts(notebook.parse_plain(cut)) == ["# 제목\n첫 줄"]


@pytest.mark.parametrize("source", [b"{}", b"[]", b'{"cells": 3}', b'{"worksheets": [3]}'])
def test_what_is_no_notebook_fails(source):
    with pytest.raises(DocumentError):
        notebook.parse(source)


RST = """.. note:: Be careful.

   More of :py:meth:`~stock.Box.weigh` and :ref:`the doors <doors>`.

.. unknown:: An argument
   :option: value

   - an item

.. code-block:: python
   :linenos:

   x = 1

.. toctree::

   not/shown
"""


def test_what_only_sphinx_knows_keeps_its_text():
    parsed = rst.parse(RST.encode())
    assert [(e.kind, e.text) for e in parsed.elements] == [
        ("text", "Be careful."),
        ("text", "More of stock.Box.weigh and the doors."),
        ("text", "An argument"),
        ("list_item", "- an item"),
        ("code", "x = 1"),
    ]


def test_a_role_of_one_document_means_nothing_in_the_next():
    source = b"The :mine:`doors <target>` close.\n"
    alone = rst.parse(source).elements
    rst.parse(b".. role:: mine(code)\n\n:mine:`x`\n")
    assert rst.parse(source).elements == alone


@pytest.mark.parametrize(
    "directive", [".. include:: {}", ".. csv-table::\n   :file: {}", ".. raw:: html\n   :file: {}",
                  ".. literalinclude:: {}", ".. include:: {}\n   :literal:"]
)  # fmt: skip
def test_no_other_file_is_read(directive, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden words")
    parsed = rst.parse(("Seen.\n\n" + directive.format(secret) + "\n").encode())
    assert "hidden" not in "".join(texts(parsed))
    assert texts(parsed)[0] == "Seen."


@pytest.mark.parametrize(
    "source",
    [
        "".join(f".. |a{i}| replace:: |a{i + 1}| |a{i + 1}|\n" for i in range(40)) + "\n|a0|\n",
        "`a *b " * 10_000,
        "x" * 20_000,
        "words\n\n" * 200_000,
    ],
    ids=["substitutions", "backquotes", "line", "length"],
)
def test_what_would_take_docutils_for_ever_fails_at_once(source):
    with pytest.raises(ParseFailed) as caught:
        rst.parse(source.encode())
    assert caught.value.advice
    assert texts(rst.parse_plain(source.encode()))


def test_the_lines_above_a_header_are_text():
    parsed = delimited.parse("재고 목록\n\n2026년 4월;;\n이름;수량;값\n사과;3;1,5\n".encode("cp949"))
    assert texts(parsed)[:2] == ["재고 목록", "2026년 4월"]
    assert parsed.elements[2].text.split("\n")[2] == "| 사과 | 3 | 1,5 |"


def test_excels_separator_line_is_no_row():
    rows = delimited.parse(b"sep=|\r\na,b|c\r\n1,5|x\r\n").elements[0].text.split("\n")
    assert rows == ["| a,b | c |", "| --- | --- |", "| 1,5 | x |"]


def test_excels_unicode_text_is_a_table():
    parsed = delimited.parse("이름\t수량\r\n사과\t3\r\n".encode("utf-16"))
    assert texts(parsed) == ["| 이름 | 수량 |\n| --- | --- |\n| 사과 | 3 |"]


def test_lost_characters_are_told_when_they_are_more_than_a_few():
    sentence = "정상 문장입니다. ".encode() * 20
    assert text.parse(sentence + b"\xff").problems == ()
    problems = text.parse(sentence + b"\xff " * 5).problems
    assert [(p.part, p.error) for p in problems] == [("characters", "UnicodeDecodeError")]
    assert text.parse("\ufffd 물음표로 온 글자 ".encode() * 9).problems == ()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_korean_is_read_without_a_byte_order_mark(encoding):
    source = "표시 없는 한국어 문장입니다.\n둘째 줄도 있습니다."
    assert text.decode(source.encode(encoding)) == source


def test_no_message_of_docutils_is_in_the_text_and_what_it_could_not_read_stays():
    table = "==== ====\nname size\n==== ====\nx    \\\n-    1\n**y  2\n==== ====\n"
    broken = "==== ====\na    b\n==== ====\nfar  over the edge\n=====\n"
    found = texts(rst.parse(f"Title\n=====\n\n{table}\n{broken}\n+---+\n| cell |\n+--\n".encode()))
    assert not any("<string>" in text or "Malformed" in text for text in found)
    assert any("over the edge" in text for text in found) and any("cell" in text for text in found)


def test_one_bad_line_costs_no_record():
    source = '{"id": 1, "text": "첫째"}\n{"id": 2, "text": "둘째"}\nBROKEN\n{"id": 3, "text": "third"}\n'
    parsed = data.parse_json(source.encode())
    assert texts(parsed) == ["id: 1\ntext: 첫째", "id: 2\ntext: 둘째", "BROKEN", "id: 3\ntext: third"]
    assert [problem.part for problem in parsed.problems] == ["line 3"]


def test_json_that_breaks_off_says_at_which_line():
    with pytest.raises(ParseFailed) as failed:
        data.parse_json(b'{"a": 1,\n "b": [1, 2,')
    assert "line 2" in failed.value.message and "application" not in failed.value.advice


def test_a_bomb_of_entities_is_called_what_it_is():
    bomb = b'<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]><l>&c;'
    for source in (bomb, bomb + b"</l>"):
        with pytest.raises(ParseFailed, match="entities"):
            xml.parse(source)


def test_xml_nested_too_deep_is_not_called_malformed():
    with pytest.raises(ParseFailed, match="nested"):
        xml.parse(b"<a>" * 50_000 + b"text" + b"</a>" * 50_000)
