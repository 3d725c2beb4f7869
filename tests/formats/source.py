"""The text that every fixture of a document format holds: written here once, in two languages.

`build_*.py` beside this file write it in each format; `test_formats.py` reads it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it, in this order."""

    level: int
    title: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Report:
    """A document: `title` is its heading of level 1, the sections have level 2 and 3."""

    title: str
    author: str
    authored_at: datetime
    keywords: tuple[str, ...]
    sections: tuple[Section, ...]

    def words(self) -> list[str]:
        """All words of the body, in order; the title is one of its headings."""
        parts = [self.title]
        for section in self.sections:
            parts += [section.title, *section.paragraphs, *section.items]
            parts += [cell for row in section.table for cell in row]
        return " ".join(parts).split()

    def cells(self) -> list[tuple[str, ...]]:
        """The rows of all tables."""
        return [row for section in self.sections for row in section.table]


EN = Report(
    "Cold storage audit of the harbour warehouse",
    "Ingrid Halvorsen",
    datetime(2026, 4, 17, tzinfo=UTC),
    ("cold storage", "audit"),
    (
        Section(
            2,
            "Purpose and scope",
            (
                "This audit checks whether the harbour warehouse keeps its goods at the temperatures that the "
                "contracts with our customers promise. It covers the three cold rooms, the loading bay and the "
                "refrigerated lorries that bring fish from the northern quay.",
                "The auditors read the loggers of fourteen weeks, opened every door themselves, and spoke with "
                "each shift leader. Nothing in this report rests on a single source; where two loggers "
                "disagree, both values are given.",
            ),
        ),
        Section(
            2,
            "Findings",
            (
                "Cold room two warms up by four degrees whenever the outer door stays open for longer than six "
                "minutes. The curtain of air that should hold the warmth outside was switched off in January, "
                "because its motor disturbed the neighbours at night.",
            ),
            (
                "The seal of the inner door is torn along its lower edge.",
                "Two of nine loggers report in local time instead of universal time.",
                "Nobody had calibrated the hand thermometers since the move.",
            ),
        ),
        Section(
            3,
            "Measured temperatures",
            ("All values are means over one week, in degrees Celsius.",),
            (),
            (
                ("Room", "Promised", "Measured", "Remark"),
                ("Cold room 1", "-18.0", "-18.4", "within the limits"),
                ("Cold room 2", "-18.0", "-15.1", "door open too long"),
                ("Cold room 3", "2.0", "2.3", "fresh fish only"),
                ("Loading bay", "8.0", "11.7", "no curtain of air"),
                ("Lorry KL-204", "0.0", "0.6", "after 96 km"),
            ),
        ),
        Section(
            2,
            "Recommendations",
            (
                "Replace the torn seal before the summer, switch the air curtain on again between five in the "
                "morning and ten at night, and set all loggers to universal time. The costs of all three "
                "measures together are lower than the value of the goods that were thrown away in March.",
                "A second audit should follow in October; the warehouse manager has agreed to lend the "
                "auditors a room and a key for the night shift.",
            ),
        ),
    ),
)

KO = Report(
    "부산항 냉동창고 온도 점검 보고서",
    "한서윤",
    datetime(2026, 4, 17, tzinfo=UTC),
    ("냉동창고", "점검"),
    (
        Section(
            2,
            "점검 목적과 범위",
            (
                "이번 점검은 부산항 냉동창고가 고객과 맺은 계약서에 적힌 온도를 실제로 지키고 있는지 확인하기 위한 "
                "것이다. 점검 대상은 냉동실 세 곳과 하역장, 그리고 북쪽 부두에서 생선을 실어 오는 냉장 화물차이다.",
                "점검반은 열네 주 동안의 기록계 자료를 모두 읽었고 문을 하나하나 직접 열어 보았으며 근무조마다 조장을 "
                "면담하였다. 한 가지 자료에만 기대어 쓴 내용은 없으며 두 기록계의 값이 서로 다를 때는 두 값을 모두 적었다.",
            ),
        ),
        Section(
            2,
            "점검 결과",
            (
                "제2냉동실은 바깥문이 육 분 넘게 열려 있으면 온도가 사 도 가까이 올라간다. 더운 공기를 막아 주는 에어커튼은 "
                "밤에 전동기 소리가 시끄럽다는 이웃의 민원 때문에 일월부터 꺼 둔 상태였다.",
            ),
            (
                "안쪽 문의 고무 패킹이 아래쪽을 따라 찢어져 있다.",
                "기록계 아홉 대 가운데 두 대가 표준시가 아닌 현지 시각으로 기록한다.",
                "창고를 옮긴 뒤로 휴대용 온도계를 한 번도 교정하지 않았다.",
            ),
        ),
        Section(
            3,
            "측정한 온도",
            ("모든 값은 일주일 평균이며 단위는 섭씨이다.",),
            (),
            (
                ("장소", "약정 온도", "측정 온도", "비고"),
                ("제1냉동실", "-18.0", "-18.4", "기준 충족"),
                ("제2냉동실", "-18.0", "-15.1", "문을 오래 열어 둠"),
                ("제3냉동실", "2.0", "2.3", "생물 전용"),
                ("하역장", "8.0", "11.7", "에어커튼 꺼짐"),
                ("화물차 부산 86", "0.0", "0.6", "96킬로미터 운행 후"),
            ),
        ),
        Section(
            2,
            "개선 권고",
            (
                "여름이 오기 전에 찢어진 패킹을 교체하고 새벽 다섯 시부터 밤 열 시까지는 에어커튼을 다시 켜며 모든 기록계의 "
                "시각을 표준시로 맞추어야 한다. 세 가지 조치에 드는 비용을 모두 더해도 삼월에 폐기한 물품의 값보다 적다.",
                "시월에 두 번째 점검을 하기로 하였으며 창고 책임자는 야간 근무 시간에 쓸 수 있도록 점검반에 방 하나와 열쇠를 "
                "빌려주기로 약속하였다.",
            ),
        ),
    ),
)

REPORTS = {"en": EN, "ko": KO}
