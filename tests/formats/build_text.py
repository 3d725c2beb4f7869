"""Write the report as text of all kinds and encodings: `python -m tests.formats.build_text`."""

from __future__ import annotations

import textwrap
import unicodedata
from html import escape
from pathlib import Path

from tests.formats.source import REPORTS, Report

FIXTURES = Path(__file__).parent / "fixtures"


def markdown(report: Report) -> str:
    lines = ["---", f"title: {report.title}", f"author: {report.author}",
             f"date: {report.authored_at.date()}", f"tags: [{', '.join(report.keywords)}]", "---", "",
             f"# {report.title}", ""]  # fmt: skip
    for section in report.sections:
        lines += ["#" * section.level + f" {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [paragraph, ""]
        lines += [f"- {item}" for item in section.items] + [""]
        for number, row in enumerate(section.table):
            lines += ["| " + " | ".join(row) + " |"] + ["| --- " * len(row) + "|"] * (number == 0)
    return "\n".join(lines) + "\n"


def html(report: Report, language: str) -> str:
    body = [f"<h1>{escape(report.title)}</h1>"]
    for section in report.sections:
        body.append(f"<h{section.level}>{escape(section.title)}</h{section.level}>")
        body += [f"<p>{escape(paragraph)}</p>" for paragraph in section.paragraphs]
        if section.items:
            body += ["<ul>", *(f"<li>{escape(item)}</li>" for item in section.items), "</ul>"]
        if section.table:
            body.append("<table>")
            for number, row in enumerate(section.table):
                tag = "td" if number else "th"
                body.append("<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>")
            body.append("</table>")
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">\n'
        f"<title>{escape(report.title)}</title>\n"
        f'<meta name="author" content="{escape(report.author)}">\n'
        f'<meta name="date" content="{report.authored_at.date()}">\n'
        f'<meta name="keywords" content="{escape(", ".join(report.keywords))}"></head>\n<body>\n'
        "<nav><a href='/'>Home</a> <a href='/all'>All reports</a></nav>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n<footer>Printed on recycled paper</footer></body></html>\n"
    )


def plain(report: Report) -> str:
    parts = [report.title]
    for section in report.sections:
        parts += [section.title, *section.paragraphs]
        parts += ["\n".join(f"- {item}" for item in section.items)] * bool(section.items)
        parts += ["\n".join("\t".join(row) for row in section.table)] * bool(section.table)
    return "\n\n".join(parts) + "\n"


def rst(report: Report) -> str:
    facts = {
        "author": report.author,
        "date": report.authored_at.date(),
        "keywords": ", ".join(report.keywords),
    }
    lines = ["=" * 70, report.title, "=" * 70, "", *(f":{name}: {fact}" for name, fact in facts.items()), ""]
    for section in report.sections:
        lines += [section.title, {2: "=", 3: "-"}[section.level] * 70, ""]
        for paragraph in section.paragraphs:
            lines += [paragraph, ""]
        lines += [f"- {item}" for item in section.items] + [""]
        if section.table:
            lines += [".. list-table::", "   :header-rows: 1", ""]
            for first, *others in section.table:
                lines += [f"   * - {first}", *(f"     - {cell}" for cell in others)]
            lines.append("")
    return "\n".join(lines)


def wrapped(report: Report, column: int) -> str:
    """Plain text with its lines cut at a column: English between words, Korean inside them."""
    fill = _cut if report is REPORTS["ko"] else textwrap.fill
    parts = [report.title]
    for section in report.sections:
        parts += [section.title, *(fill(paragraph, column) for paragraph in section.paragraphs)]
        parts += ["\n".join(f"- {item}" for item in section.items)] * bool(section.items)
        parts += ["\n".join("\t".join(row) for row in section.table)] * bool(section.table)
    return "\n\n".join(parts) + "\n"


def _cut(text: str, column: int) -> str:
    lines, width = [""], 0
    for char in text:
        size = 2 if char >= "\uac00" else 1
        if width + size > column:
            lines, width = [*lines, ""], 0
        lines[-1] += char
        width += size
    return "\n".join(line.strip() for line in lines)


def table(report: Report, delimiter: str) -> str:
    rows = next(section.table for section in report.sections if section.table)
    return "".join(delimiter.join(row) + "\n" for row in rows)


def variants(text: str) -> dict[str, bytes]:
    """The text as careless programs store it."""
    utf8 = text.encode()
    twice = utf8.decode("latin-1").encode()
    return {
        "utf16": ("\ufeff" + text).encode("utf-16-le"),
        "utf16be": text.encode("utf-16-be"),
        "nfd": unicodedata.normalize("NFD", text).encode(),
        "mojibake": twice,
        "mojibake2": twice.decode("latin-1").encode(),
    }


def main() -> None:
    for language, report in REPORTS.items():
        stem = FIXTURES / f"report.{language}"
        stem.with_suffix(f".{language}.md").write_text(markdown(report), encoding="utf-8")
        stem.with_suffix(f".{language}.html").write_text(html(report, language), encoding="utf-8")
        stem.with_suffix(f".{language}.txt").write_text(plain(report), encoding="utf-8")
        stem.with_suffix(f".{language}.rst").write_text(rst(report), encoding="utf-8")
        stem.with_suffix(f".{language}.wrapped.txt").write_text(wrapped(report, 72), encoding="utf-8")
    korean, text = REPORTS["ko"], plain(REPORTS["ko"])
    for name, data in variants(text).items():
        (FIXTURES / f"report.ko.{name}.txt").write_bytes(data)
    (FIXTURES / "report.ko.cp949.txt").write_bytes(text.encode("cp949"))
    (FIXTURES / "report.ko.latin1.txt").write_bytes(text.encode("cp949").decode("latin-1").encode())
    (FIXTURES / "table.ko.csv").write_bytes(table(korean, ";").encode("cp949"))
    (FIXTURES / "table.ko.tsv").write_bytes(("\ufeff" + table(korean, "\t")).encode("utf-16-le"))
    (FIXTURES / "table.excel.csv").write_text("sep=;\n" + table(korean, ";"), encoding="utf-8")


if __name__ == "__main__":
    main()
