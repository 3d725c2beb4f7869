"""Write the report as Markdown, HTML and plain text: `python -m tests.formats.build_text`."""

from __future__ import annotations

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


def main() -> None:
    for language, report in REPORTS.items():
        stem = FIXTURES / f"report.{language}"
        stem.with_suffix(f".{language}.md").write_text(markdown(report), encoding="utf-8")
        stem.with_suffix(f".{language}.html").write_text(html(report, language), encoding="utf-8")
        stem.with_suffix(f".{language}.txt").write_text(plain(report), encoding="utf-8")


if __name__ == "__main__":
    main()
