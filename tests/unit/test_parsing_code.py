"""Source code by its definitions: each line once, whatever the file holds."""

import random

import pytest

from tasks.parsing import code
from tests.formats.build_code import CODE, FIXTURES

PARSERS = {
    ".py": code.parse_python, ".js": code.parse_javascript, ".tsx": code.parse_typescript,
    ".java": code.parse_java, ".go": code.parse_go, ".h": code.parse_c, ".cpp": code.parse_cpp,
    ".rs": code.parse_rust, ".sql": code.parse_sql,
}  # fmt: skip


def lines(source: str) -> list[str]:
    return [line for line in source.split("\n") if line.strip()]


@pytest.mark.parametrize("suffix", PARSERS)
def test_every_line_is_there_once_and_in_order(suffix):
    source = CODE[f"code{suffix}"]
    elements = PARSERS[suffix](source.encode()).elements
    assert lines("\n".join(e.text for e in elements)) == lines(source)


@pytest.mark.parametrize("suffix", PARSERS)
def test_a_broken_file_loses_no_line(suffix):
    source = CODE[f"code{suffix}"]
    chance = random.Random(suffix)
    for _ in range(40):
        at = chance.randrange(len(source))
        broken = (
            source[:at]
            + chance.choice(["{", "(", '"', "/*", "\n}\n", ""])
            + source[at + chance.randrange(40) :]
        )
        elements = PARSERS[suffix](broken.encode()).elements
        assert lines("\n".join(e.text for e in elements)) == lines(broken)


@pytest.mark.parametrize(
    ("suffix", "symbols"),
    [
        (".py", ["", "total", "Box"]),
        (".js", ["", "draw", "count", "module.exports.open"]),
        (".tsx", ["Box", "Stock", "Stock.count", "View"]),
        (".java", ["", "Box", "Size"]),
        (".go", ["", "Box", "Box.Weigh", "Count"]),
        (".h", ["", "box", "weigh"]),
        (".cpp", ["", "stock", "stock.Shelf", "stock.count"]),
        (".rs", ["", "Box1", "Box1", "count", "count.all"]),
        (".sql", ["stock.box", "box_name_idx", "", "stock.heavy"]),
    ],
)
def test_definitions_carry_their_qualified_names(suffix, symbols):
    assert [e.symbol for e in PARSERS[suffix](CODE[f"code{suffix}"].encode()).elements] == symbols


@pytest.mark.parametrize(
    ("suffix", "head", "member", "end", "symbols"),
    [
        (".java", "class Big {", "  /** d */\n  void m%d() {", "}", ["Big", "Big.m0", "Big.m1"]),
        (".rs", "impl Tr for Big<T> {", "  /// d\n  fn m%d() {", "}", ["Big", "Big.m0", "Big.m1"]),
        (".js", "export class Big {", "  m%d() {", "}", ["Big", "Big.m0", "Big.m1"]),
        (".cpp", "class Big {\n public:", "  void m%d() {", "};", ["Big", "Big.m0", "Big.m1"]),
    ],
)
def test_a_long_class_gives_its_members(suffix, head, member, end, symbols):
    body = "\n".join(member % i + "\n" + "    x();\n" * 40 + "  }" for i in range(2))
    elements = PARSERS[suffix](f"{head}\n{body}\n{end}\n".encode()).elements
    assert [e.symbol for e in elements] == symbols
    assert elements[-1].text.endswith(end)


def test_a_comment_behind_a_statement_does_not_move_to_the_next_definition():
    elements = code.parse_python(b"x = 1  # of x\n# of f\ndef f():\n    pass\n").elements
    assert [e.text.split("\n")[0] for e in elements] == ["x = 1  # of x", "# of f"]


@pytest.mark.parametrize("suffix", PARSERS)
@pytest.mark.parametrize(
    "data",
    [
        b"(" * 50_000, b"{" * 50_000, b"[" * 50_000, b"a<" * 25_000, b'"' * 50_001,
        bytes(random.Random(1).choices(b"abc {}()[]<>;:,.'\"\n=+-*/#@!$0", k=50_000)),
        b"\x00\x01\x02" * 1000 + b"def f(): pass\n",
    ],
    ids=["parens", "braces", "brackets", "templates", "quotes", "noise", "controls"],
)  # fmt: skip
def test_hostile_code_is_kept_and_ends_soon(suffix, data):
    text = "".join("".join(e.text.split()) for e in PARSERS[suffix](data).elements)
    assert text == "".join(data.decode().split())


def test_a_minified_file_is_read_as_blocks():
    data = b"function a(b){return b+1};" * 100_000
    assert [e.symbol for e in code.parse_javascript(data).elements] == [""]


def test_fixtures_are_what_their_builder_writes():
    assert {name: (FIXTURES / name).read_text("utf-8") for name in CODE} == CODE
