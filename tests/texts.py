"""Generated text with sentences that differ, Korean and English; the same on every machine."""

from __future__ import annotations

import random

_KO_WHO = "담당자 연구원 점장 기사 관리자 고객 감사인 개발자 상담사 지점장 운영팀 기획팀".split()
_KO_WHAT = "보고서 계약서 센서 창고 배송 일정 예산 회의록 장비 서버 품질 기준 재고 매출 교육".split()
_KO_DO = "점검했다 제출했다 확인했다 교체했다 승인했다 기록했다 검토했다 취소했다 예약했다 정리했다".split()
_EN_WHO = "engineer auditor driver nurse clerk farmer pilot teacher".split()
_EN_WHAT = "report ledger sensor garden engine timetable budget archive".split()
_EN_DO = "checked signed replaced approved measured cancelled sorted".split()


def korean_sentence(rng: random.Random) -> str:
    """One sentence, different from nearly all others by its numbers."""
    return (
        f"{rng.choice(_KO_WHO)}는 {rng.randint(1, 12)}월 {rng.randint(1, 28)}일에 "
        f"{rng.choice(_KO_WHAT)} {rng.randint(1, 99999)}건을 {rng.choice(_KO_DO)}."
    )


def english_sentence(rng: random.Random) -> str:
    """One sentence, different from nearly all others by its numbers."""
    return (
        f"The {rng.choice(_EN_WHO)} {rng.choice(_EN_DO)} {rng.randint(1, 99999)} items "
        f"of the {rng.choice(_EN_WHAT)} on day {rng.randint(1, 365)}."
    )


def korean_text(characters: int, seed: int = 0) -> str:
    """Paragraphs of about ten sentences, at least that many characters."""
    rng = random.Random(seed)
    paragraphs: list[str] = []
    size = 0
    while size < characters:
        paragraph = " ".join(korean_sentence(rng) for _ in range(rng.randint(4, 12)))
        paragraphs.append(paragraph)
        size += len(paragraph) + 2
    return "\n\n".join(paragraphs)


def english_text(sentences: int, seed: int = 0) -> str:
    """One paragraph."""
    rng = random.Random(seed)
    return " ".join(english_sentence(rng) for _ in range(sentences))
