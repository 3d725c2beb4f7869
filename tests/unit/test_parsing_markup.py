"""HTML and Markdown."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from schemas.document import Element, Metadata
from schemas.errors import ParseFailed
from tasks.parsing import markdown, markup

PAGE = """<!doctype html><html lang="ko-KR"><head><title> The  title </title>
<meta name="author" content="Kim"><meta name="keywords" content="a, b">
<meta property="article:published_time" content="2026-05-31T10:00:00+09:00">
<style>p { color: red }</style><script>var x = "<p>no</p>";</script></head>
<body><header><a href="/">Home</a></header><nav><ul><li>Menu</li></ul></nav>
<h1>One <em>two</em></h1><p>First<br>second   line &amp; more.</p>
<ul><li>item<ul><li>inner</li></ul></li><li><p>para</p></li></ul>
<ol start="3"><li>three</li><li>four</li></ol>
<pre>  code
    stays</pre>
<p hidden>secret</p><div style="display: none">gone</div>
<h2>Table</h2><table><caption>Sizes</caption><tr><th>a</th><th>b</th></tr>
<tr><td rowspan=2>x</td><td>1</td></tr><tr><td>2</td></tr></table>
tail<footer>Legal</footer></body></html>"""


def test_html_becomes_its_blocks_in_reading_order() -> None:
    assert markup.parse(PAGE.encode()).elements == (
        Element("One two", "heading", level=1),
        Element("First\nsecond line & more."),
        Element("- item", "list_item"),
        Element("- inner", "list_item"),
        Element("- para", "list_item"),
        Element("3. three", "list_item"),
        Element("4. four", "list_item"),
        Element("  code\n    stays", "code"),
        Element("Table", "heading", level=2),
        Element("Sizes"),
        Element("| a | b |\n| --- | --- |\n| x | 1 |\n| x | 2 |", "table"),
        Element("tail"),
    )


def test_html_says_who_and_when() -> None:
    assert markup.parse(PAGE.encode()).metadata == Metadata(
        title="The title",
        author="Kim",
        authored_at=datetime(2026, 5, 31, 10, tzinfo=timezone(timedelta(hours=9))),
        language="ko",
        tags=("a", "b"),
    )


def test_only_the_main_content_of_a_page_is_taken() -> None:
    page = "<body><div>side menu</div><main><p>The long content of this page.</p></main></body>"
    assert [e.text for e in markup.parse(page.encode()).elements] == ["The long content of this page."]


def test_a_main_element_that_holds_next_to_nothing_is_not_the_content() -> None:
    page = f"<body><p>{'Real words. ' * 20}</p><main><p>x</p></main></body>"
    assert len(markup.parse(page.encode()).elements) == 2


def test_a_table_that_lays_out_the_page_is_not_data() -> None:
    page = "<table><tr><td><h1>Head</h1><p>Text</p></td></tr></table>"
    assert [e.kind for e in markup.parse(page.encode()).elements] == ["heading", "text"]


@pytest.mark.parametrize("declared", ["euc-kr", "ks_c_5601-1987"])
def test_the_declared_encoding_of_a_page_holds(declared: str) -> None:
    page = f'<html><head><meta charset="{declared}"></head><p>똠방각하</p>'
    assert markup.parse(page.encode("cp949")).elements[0].text == "똠방각하"


def test_a_wrong_declaration_does_not_break_the_text() -> None:
    page = '<meta charset="euc-kr"><p>한국어 문장</p>'
    assert markup.parse(page.encode()).elements[0].text == "한국어 문장"


@pytest.mark.parametrize(
    "page", ["", "   ", "<html></html>", "<!-- only a comment -->", "<script>x</script>"]
)
def test_a_page_without_text_has_no_elements(page: str) -> None:
    assert markup.parse(page.encode()).elements == ()


def test_broken_and_nested_html_is_read() -> None:
    page = b"<div>" * 1500 + b"deep <b>text<p>next\x00 one</i></table>"
    assert [e.text for e in markup.parse(page).elements] == ["deep text", "next one"]


def test_html_beyond_the_limits_of_the_library_is_refused_and_not_cut() -> None:
    with pytest.raises(ParseFailed, match="nested deeper"):
        markup.parse(b"<div>" * 3000 + b"text")


MARKDOWN = """---
title: 운영 규정
author: [Kim, Lee]
date: 2026-01-05
tags: [인사, 근태]
lang: ko-KR
level: 3
---

# One *two* `three`

A [link](http://x.test) and ![picture](a.png)
wrapped on.\\
New line.

- a
  - b
- c

  more of c

2. two
3. three

| x | y |
|---|---|
| 1 | `a|b` |

```python
def f():

    return 1
```

    indented code

> quoted

<details>Hidden <b>html</b></details>

Setext
------
"""


def test_markdown_becomes_its_blocks() -> None:
    assert markdown.parse(MARKDOWN.encode()).elements == (
        Element("One two three", "heading", level=1),
        Element("A link and picture wrapped on.\nNew line."),
        Element("- a", "list_item"),
        Element("- b", "list_item"),
        Element("- c", "list_item"),
        Element("more of c", "list_item"),
        Element("2. two", "list_item"),
        Element("3. three", "list_item"),
        Element("| x | y |\n| --- | --- |\n| 1 | `a |", "table"),
        Element("def f():\n\n    return 1", "code"),
        Element("indented code", "code"),
        Element("quoted"),
        Element("Hidden html"),
        Element("Setext", "heading", level=2),
    )


def test_front_matter_is_metadata() -> None:
    assert markdown.parse(MARKDOWN.encode()).metadata == Metadata(
        title="운영 규정",
        author="Kim, Lee",
        authored_at=datetime(2026, 1, 5, tzinfo=UTC),
        language="ko",
        tags=("인사", "근태"),
        extra={"level": "3"},
    )


@pytest.mark.parametrize(
    "start", ["---\nnot: [closed\n---\n", "---\njust words\n---\n", "---\ndate: 2026-13-45\n---\n", "---\n"]
)
def test_what_is_no_front_matter_stays_text(start: str) -> None:
    parsed = markdown.parse(f"{start}\nBody\n".encode())
    assert parsed.metadata == Metadata()
    assert parsed.elements[-1].text == "Body"
