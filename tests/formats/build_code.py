"""Write source code, data and notebooks with Korean comments: `python -m tests.formats.build_code`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.formats.source import REPORTS, Report

FIXTURES = Path(__file__).parent / "fixtures"

PYTHON = '''"""재고를 세는 모듈."""

from functools import cache

LIMIT = 3  # 한 번에 세는 상자 수


# 상자의 무게를 더한다.
@cache
def total(weights):
    return sum(weights)


class Box:
    """창고의 상자 하나."""

    def weigh(self):
        return total((1, 2))
'''
JAVASCRIPT = """// 재고 화면
import { api } from "./api.js";

/** 상자를 그린다. */
export function draw(box) {
  return `<b>${box.name}</b>`;
}

export const count = (boxes) => boxes.length;

module.exports.open = function (box) {
  return api.open(box);
};
"""
TYPESCRIPT = """/** 상자의 모양 */
export interface Box {
  name: string;
}

export namespace Stock {
  // 상자를 센다.
  export function count(boxes: Box[]): number {
    return boxes.length;
  }
}

export const View = ({ box }: { box: Box }) => <b>{box.name}</b>;
"""
JAVA = """package kr.co.stock;

/** 창고의 상자 하나. */
@Deprecated
public class Box {
  private final int weight = 3; // 킬로그램

  public int weigh() {
    return weight;
  }
}

enum Size { SMALL, LARGE }
"""
GO = """package stock

// Box 는 상자 하나다.
type Box struct {
	Weight int
}

// Weigh 는 무게를 킬로그램으로 돌려준다.
func (b *Box) Weigh() int {
	return b.Weight
}

func Count(boxes []Box) int { return len(boxes) }
"""
C = """#ifndef BOX_H
#define BOX_H

/* 창고의 상자 하나 */
struct box {
  int weight;
};

/* 무게를 킬로그램으로 돌려준다. */
static int *weigh(struct box *b)
{
  return &b->weight;
}

#endif
"""
CPP = """#include <vector>

namespace stock {

// 상자를 담는 선반
template <class T>
class Shelf {
 public:
  void add(T box) { boxes.push_back(box); }
  std::vector<T> boxes;
};

}  // namespace stock

int stock::count(const Shelf<int>& shelf) { return shelf.boxes.size(); }
"""
RUST = """//! 재고를 세는 모듈

/// 창고의 상자 하나
#[derive(Debug)]
pub struct Box1<T> {
    weight: T,
}

impl<T> Box1<T> {
    pub fn weigh(&self) -> &T {
        &self.weight
    }
}

mod count {
    // 상자를 센다.
    pub fn all() -> usize {
        3
    }
}
"""
SQL = """-- 창고의 상자
CREATE TABLE stock.box (
  id int PRIMARY KEY,
  name text NOT NULL -- 이름
);

CREATE INDEX box_name_idx ON stock.box (name);

INSERT INTO stock.box VALUES (1, '사과');

-- 무거운 상자만
CREATE VIEW stock.heavy AS SELECT * FROM stock.box WHERE id > 3;
"""
SHELL = """#!/bin/sh
# 창고를 백업한다.
backup() {
  tar cf stock.tar stock

}

backup
"""
BOXES = [
    {"이름": "사과", "무게": 3.50, "자리": "선반 1"},
    {"이름": "배", "무게": 2, "자리": None},
]
CONFIG = {
    "title": "창고 설정",
    "author": "한서윤",
    "date": "2026-04-17",
    "tags": ["창고", "설정"],
    "limits": {"boxes": 12, "doors": {"north": True, "south": False}},
    "boxes": BOXES,
    "note": "바깥문이 육 분 넘게 열려 있으면 경보를 울린다.\n밤에는 울리지 않는다.",
}
RECORDS_XML = """<?xml version="1.0" encoding="euc-kr"?>
<!-- 재고 목록 -->
<stock>
  <box id="1"><name>사과</name><place><shelf>1</shelf><row>나</row></place></box>
  <box id="2"><name>배 &amp; 감</name></box>
</stock>
"""
DOCBOOK = """<?xml version="1.0" encoding="UTF-8"?>
<article xmlns="http://docbook.org/ns/docbook" xml:lang="ko">
  <title>냉동창고 안내</title>
  <section><title>문</title>
    <para>바깥문은 <emphasis>육 분</emphasis> 안에 닫는다.</para>
    <itemizedlist>
      <listitem><para>안쪽 문</para></listitem>
      <listitem><para>바깥문</para></listitem>
    </itemizedlist>
  </section>
</article>
"""
FEED = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel><title>창고 소식</title><language>ko-kr</language>
<item><title>새 선반</title>
<description>&lt;p&gt;선반을 &lt;b&gt;둘&lt;/b&gt; 들였다.&lt;/p&gt;</description></item>
<item><title>점검</title><description>시월에 점검한다.</description></item>
</channel></rss>
"""
CODE = {
    "code.py": PYTHON, "code.js": JAVASCRIPT, "code.tsx": TYPESCRIPT, "code.java": JAVA, "code.go": GO,
    "code.h": C, "code.cpp": CPP, "code.rs": RUST, "code.sql": SQL, "code": SHELL,
}  # fmt: skip


def notebook(report: Report) -> str:
    """Headings, prose and tables as cells of Markdown, a cell of code with an output between."""
    cells = [_cell("markdown", f"# {report.title}")]
    for section in report.sections:
        lines = ["#" * section.level + f" {section.title}", *section.paragraphs]
        if section.items:
            lines.append("\n".join(f"- {item}" for item in section.items))
        if section.table:
            rows = ["| " + " | ".join(row) + " |" for row in section.table]
            lines.append("\n".join([rows[0], "| --- " * len(section.table[0]) + "|", *rows[1:]]))
        cells.append(_cell("markdown", "\n\n".join(lines)))
    output = {"output_type": "stream", "name": "stdout", "text": ["14.2 seconds\n"]}
    cells.insert(2, {**_cell("code", "loggers = 9  # 기록계\nprint(loggers)"), "outputs": [output]})
    metadata = {
        "title": report.title,
        "authors": [{"name": report.author}],
        "date": str(report.authored_at.date()),
        "keywords": list(report.keywords),
        "language_info": {"name": "python"},
    }
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _cell(kind: str, source: str) -> dict[str, object]:
    return {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True)}


def main() -> None:
    for name, source in CODE.items():
        (FIXTURES / name).write_text(source, encoding="utf-8")
    (FIXTURES / "boxes.json").write_text(json.dumps(BOXES, ensure_ascii=False), encoding="utf-8")
    (FIXTURES / "config.json").write_text(json.dumps(CONFIG, ensure_ascii=False, indent=2), encoding="utf-8")
    lines = "".join(json.dumps(box, ensure_ascii=False) + "\n" for box in BOXES)
    (FIXTURES / "boxes.jsonl").write_text(lines, encoding="utf-8")
    (FIXTURES / "boxes.xml").write_bytes(RECORDS_XML.encode("cp949"))
    (FIXTURES / "docbook.xml").write_text(DOCBOOK, encoding="utf-8")
    (FIXTURES / "feed.xml").write_text(FEED, encoding="utf-8")
    for language, report in REPORTS.items():
        (FIXTURES / f"report.{language}.ipynb").write_text(notebook(report), encoding="utf-8")


if __name__ == "__main__":
    main()
