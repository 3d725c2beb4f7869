"""Documents of one form, and copies that were touched: what the guard must tell apart."""

from tests.texts import english_text

RESUME_KO = """이 력 서
성명: {name}
생년월일: {birth}
연락처: {phone}
전자우편: {mail}
주소: {address}
학력: {school} 졸업 ({graduated})
경력: {firm} 근무 ({period})
위에 적은 내용은 사실과 다름이 없음을 확인합니다. 회사는 지원자의 개인정보를 채용 절차의 진행,
지원자와의 의사소통, 합격 여부의 통지를 위하여 수집하고 이용하며, 채용이 끝난 뒤에는 관련 법령이 정한
기간 동안 보관한 다음 지체 없이 파기합니다. 지원자는 개인정보의 수집과 이용에 동의하지 않을 권리가
있으나, 동의하지 않을 경우 채용 절차에 참여할 수 없습니다. 지원서에 거짓이 있음이 밝혀지면 합격이나
채용이 취소될 수 있습니다. 채용에 관한 문의는 인사팀으로 하여 주시기 바라며, 제출한 서류는 지원자가
요구하면 관련 법률에 따라 돌려 드립니다. 최종 합격자는 회사가 정한 날에 출근하여야 하고, 수습 기간 동안
근무 태도와 업무 능력을 평가하여 본 채용 여부를 결정합니다. 근무 장소는 회사의 사정에 따라 바뀔 수
있으며, 급여와 복리후생은 회사의 취업 규칙과 급여 규정에 따릅니다.
"""

CONTRACT_EN = """SERVICE AGREEMENT
This agreement is made on {date} between {client} and {vendor}. 1. The vendor shall provide the services
described in the annex with reasonable skill and care, and shall use staff who are trained for the work
that they are given. 2. The client shall pay {amount} within 30 days of receipt of a proper invoice.
Amounts that are not paid in time bear interest at the statutory rate from the day on which they were
due. 3. Each party shall keep the confidential information of the other secret, shall use it for the
purposes of this agreement alone, and shall return or destroy it when the agreement ends. 4. Neither
party is liable for a failure to perform that is caused by events beyond its reasonable control,
provided that it tells the other party without delay and does what it can to limit the consequences. 5.
This agreement begins on {start} and ends on {end}. Either party may end it earlier by written notice of
60 days, or at once where the other party commits a serious breach and does not remedy it within 14
days. 6. No change to this agreement is valid unless it is made in writing and signed by both parties.
7. If a provision of this agreement is found to be void, the remaining provisions stay in force, and the
parties shall agree on a valid provision that comes closest to what they intended. 8. This agreement is
governed by the law of the place where the vendor has its seat, and the courts of that place alone
decide disputes that arise from it.
"""

CONTRACT_KO = """물품 공급 계약서
{client}(이하 갑)과 {vendor}(이하 을)은 {date} 다음과 같이 계약을 맺는다. 제1조 을은 갑이 주문한 물품을
정해진 품질 기준에 맞게 제작하여 갑이 지정한 장소에 납품한다. 제2조 계약 금액은 {amount}으로 하며 갑은
물품을 검수한 날부터 30일 안에 을의 계좌로 지급한다. 제3조 계약 기간은 {start}부터 {end}까지로 하고,
기간이 끝나기 1개월 전까지 어느 쪽도 다른 뜻을 알리지 않으면 같은 조건으로 1년씩 연장된 것으로 본다.
제4조 을은 납품한 물품에 하자가 있으면 갑의 요청에 따라 지체 없이 수리하거나 새 물품으로 바꾸어 주어야
하고, 이에 드는 비용은 을이 부담한다. 제5조 갑과 을은 이 계약을 이행하면서 알게 된 상대방의 영업 비밀을
계약 기간은 물론 계약이 끝난 뒤에도 다른 사람에게 알리거나 계약의 목적이 아닌 곳에 쓰지 않는다. 제6조
천재지변이나 그 밖의 어쩔 수 없는 사정으로 계약을 이행할 수 없게 된 쪽은 그 사실을 곧바로 상대방에게
알리고, 그로 인한 책임을 지지 않는다. 제7조 이 계약과 관련하여 다툼이 생기면 갑과 을은 먼저 협의하여
해결하고, 협의가 이루어지지 않으면 갑의 주소지를 관할하는 법원에서 해결한다.
"""


def filled(form, first, second):
    return form.format(**first), form.format(**second)


FORMS = {
    "Korean résumés": filled(
        RESUME_KO,
        {"name": "김민준", "birth": "1991년 3월 14일", "phone": "010-2384-1177", "mail": "mj91@example.com",
         "address": "서울시 마포구 월드컵로 12", "school": "한빛대학교", "graduated": "2015년 2월",
         "firm": "새롬전자", "period": "2015년 4월 - 2021년 8월"},
        {"name": "이서연", "birth": "1988년 11월 2일", "phone": "010-9911-4820",
         "mail": "seoyeon@example.com", "address": "부산시 해운대구 센텀로 301", "school": "푸른대학교",
         "graduated": "2011년 8월",
         "firm": "다온물산", "period": "2012년 1월 - 2020년 12월"},
    ),
    "English contracts": filled(
        CONTRACT_EN,
        {"date": "2023-02-01", "client": "Northwind Ltd", "vendor": "Contoso GmbH", "amount": "48,000 EUR",
         "start": "2023-03-01", "end": "2025-02-28"},
        {"date": "2024-07-15", "client": "Fabrikam Inc", "vendor": "Contoso GmbH", "amount": "7,250 EUR",
         "start": "2024-08-01", "end": "2026-07-31"},
    ),
    "Korean contracts": filled(
        CONTRACT_KO,
        {"date": "2023년 2월 1일", "client": "한빛상사", "vendor": "새롬전자", "amount": "48,000,000원",
         "start": "2023년 3월 1일", "end": "2025년 2월 28일"},
        {"date": "2024년 7월 15일", "client": "다온물산", "vendor": "새롬전자", "amount": "7,250,000원",
         "start": "2024년 8월 1일", "end": "2026년 7월 31일"},
    ),
}  # fmt: skip

SPACING = {
    "계약 기간": "계약기간", "계약 금액": "계약금액", "정해진 품질": "정해진품질", "새 물품": "새물품",
    "1년씩 ": "1년씩", "영업 비밀": "영업비밀", "계약의 목적": "계약의목적", "30일 안": "30일안",
    "1개월 전": "1개월전", "2023년 2월 1일": "2023 년 2 월 1 일",
}  # fmt: skip


def spaced(text):
    """As another extraction spaces it."""
    for one, other in SPACING.items():
        text = text.replace(one, other)
    return text


BODY_EN, BODY_KO = FORMS["English contracts"][0], FORMS["Korean contracts"][0]
COPIES = {
    "footer": (BODY_EN, f"{BODY_EN}\nContoso GmbH, 12 Harbour Road, printed 2024-01-09 14:33, page 1 of 1"),
    "Korean footer": (BODY_KO, f"{BODY_KO}\n새롬전자 법무팀, 서울시 중구 세종대로 110, 2024년 1월 9일, 1/1"),
    "edited": (BODY_EN, BODY_EN.replace("reasonable skill and care", "due diligence and care")),
    "Korean edited": (BODY_KO, BODY_KO.replace("지체 없이 수리하거나", "7일 안에 고치거나")),
    "capitals": (BODY_EN, BODY_EN.upper().replace(",", "").replace("\n", "\n\n")),
    "Korean spacing": (BODY_KO, spaced(BODY_KO)),
    "paragraphs": (f"{BODY_EN}\n{english_text(10, seed=1)}", f"{english_text(10, seed=1)}\n{BODY_EN}"),
}  # fmt: skip
