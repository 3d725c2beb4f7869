"""Numbers as a workbook shows them: Excel's number formats, those that teams use.

Source: ECMA-376 part 1, 18.8.30 and 18.8.31. A format that is not understood whole (a fraction,
a condition) is none: the cell then gives its number as it is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

MAX_CODE_CHARS = 255
MAX_DECIMALS = 15
MAX_SHOWN = 1e15
"""Beyond it a float has no digits left to show."""

BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00",
    # Of 5 to 8 and 41 to 44 only the file could say the currency; where it does not, the digits are right.
    5: "#,##0;-#,##0", 6: "#,##0;-#,##0", 7: "#,##0.00;-#,##0.00", 8: "#,##0.00;-#,##0.00",
    37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)",
    41: "#,##0;-#,##0", 42: "#,##0;-#,##0", 43: "#,##0.00;-#,##0.00", 44: "#,##0.00;-#,##0.00",
}  # fmt: skip
"""Codes of the numbers that stand for a format in every workbook."""

_TOKEN = re.compile(
    r"""
      "(?P<quoted>[^"]*)"
    | \\(?P<escaped>.)
    | _. | \*.                                                   # room, and what fills it
    | \[\$(?P<currency>[^\]-]*)(?:-[\w,-]*)?\]
    | \[(?:black|blue|cyan|green|magenta|red|white|yellow|color\s?\d{1,2})\]
    | (?P<general>general)
    | (?P<digits>[#0?][#0?,]*(?:\.[#0?]*)?|\.[#0?]+)(?P<scale>,*)(?:[Ee](?P<sign>[+-])(?P<exponent>[#0?]+))?
    | (?P<percent>%)
    | (?P<literal>[-+$():!^&'~{}<>=\ ]|[^\x00-\x7f])
    | (?P<end>;)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


_STEPS = tuple(Decimal(1).scaleb(-decimals) for decimals in range(MAX_DECIMALS + 1))
_NO_ZERO = re.compile("[1-9]")


@dataclass(frozen=True, slots=True)
class _Section:
    """How one sign of number is shown: texts around its digits, or `pattern`, digits among texts."""

    before: str
    after: str
    power: int
    whole: int
    decimals: int
    fixed: int
    is_grouped: bool
    exponent: int
    pattern: tuple[str, ...]
    has_digits: bool
    is_general: bool


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """A format that is understood: its sections for positive, negative and zero."""

    sections: tuple[_Section, ...]

    def show(self, value: float) -> str | None:
        """The number as text; None where the format shows nothing, or more than a float's digits."""
        if not math.isfinite(value) or abs(value) >= MAX_SHOWN:
            return None
        section, sign = self._section(value)
        try:
            text = _shown(section, abs(value))
        except ArithmeticError:  # more digits than a Decimal has
            return None
        if not text.strip():
            return None
        if sign and (not section.has_digits or _NO_ZERO.search(text)):  # never "-0.00"
            text = sign + text
        return text.strip()

    def _section(self, value: float) -> tuple[_Section, str]:
        if value < 0 and len(self.sections) > 1:
            return self.sections[1], ""
        if value == 0 and len(self.sections) > 2:
            return self.sections[2], ""
        return self.sections[0], "-" if value < 0 else ""


@lru_cache(maxsize=4096)
def number_format(code: str) -> NumberFormat | None:
    """The format of a code; None where numbers stand as they are stored, or where it is not understood.

    >>> number_format("0.00%").show(0.125), number_format('_-"₩"* #,##0_-').show(1234567.5)
    ('12.50%', '₩1,234,568')
    """
    if len(code) > MAX_CODE_CHARS or code.strip().lower() in ("", "general", "@"):
        return None
    sections: list[_Section] = []
    tokens: list[re.Match[str]] = []
    try:
        for token in _tokens(code):
            if token.lastgroup == "end":
                sections.append(_section(tokens))
                tokens = []
            else:
                tokens.append(token)
        if len(sections) < 3:  # a fourth is for text
            sections.append(_section(tokens))
    except ValueError:
        return None
    return NumberFormat(tuple(sections[:3])) if any(s.has_digits or s.is_general for s in sections) else None


def _tokens(code: str) -> Iterator[re.Match[str]]:
    """Parts of the code up to the third section.

    Raises:
        ValueError: a part is not understood: a date, a fraction, a condition.
    """
    at = ends = 0
    while at < len(code) and ends < 3:
        token = _TOKEN.match(code, at)
        if token is None:
            raise ValueError(code)
        ends += token.lastgroup == "end"
        yield token
        at = token.end()


def _section(tokens: list[re.Match[str]]) -> _Section:
    digits = [token for token in tokens if token["digits"] is not None]
    general = [token for token in tokens if token["general"]]
    if len(digits) > 1:
        return _pattern(tokens, digits)
    if len(digits) + len(general) > 1:
        raise ValueError("two numbers in one")
    place = tokens.index((digits + general)[0]) if digits or general else len(tokens)
    number = digits[0] if digits else None
    whole, _, fraction = (number["digits"] if number else "").partition(".")
    if len(fraction) > MAX_DECIMALS or (number and number["exponent"] and whole.count("0") != len(whole)):
        raise ValueError("too many decimals, or powers of three")
    scale = len(number["scale"]) + len(whole) - len(whole.rstrip(",")) if number else 0
    return _Section(
        before="".join(map(_literal, tokens[:place])),
        after="".join(map(_literal, tokens[place + 1 :])),
        power=2 * sum(token["percent"] is not None for token in tokens) - 3 * scale,
        whole=whole.count("0"),
        decimals=len(fraction),
        fixed=fraction.rfind("0") + 1,
        is_grouped="," in whole.rstrip(","),
        exponent=len(number["exponent"] or "") if number else 0,
        pattern=(),
        has_digits=number is not None,
        is_general=bool(general),
    )


def _pattern(tokens: list[re.Match[str]], digits: list[re.Match[str]]) -> _Section:
    """Digits with marks between them, as of telephone numbers: ``000-0000-0000``."""
    if any(re.search("[.,]", token[0]) or token["exponent"] for token in digits) or any(
        token["percent"] or token["general"] for token in tokens
    ):
        raise ValueError("marks between the digits of a fraction")
    pattern = tuple(token[0] if token["digits"] else "\0" + _literal(token) for token in tokens)
    return _Section("", "", 0, 0, 0, 0, False, 0, pattern, True, False)


def _literal(token: re.Match[str]) -> str:
    return (
        token["quoted"] or token["escaped"] or token["currency"] or token["percent"] or token["literal"] or ""
    )


def _shown(section: _Section, value: float) -> str:
    if section.pattern:
        return _filled(section.pattern, value)
    if section.is_general:
        return f"{section.before}{value:.15g}{section.after}"
    if not section.has_digits:
        return section.before
    number = Decimal(f"{value:.15g}")
    number = number.scaleb(section.power) if section.power else number
    digits = _power_of_ten(section, number) if section.exponent else _plain(section, number)
    return section.before + digits + section.after if digits else ""


def _plain(section: _Section, number: Decimal) -> str:
    """Digits with as many decimals as the format has, rounded as on paper."""
    rounded = number.quantize(_STEPS[section.decimals], ROUND_HALF_UP)
    text = f"{rounded:,f}" if section.is_grouped else f"{rounded:f}"
    whole, _, fraction = text.partition(".")
    least = section.fixed
    fraction = fraction[:least] + fraction[least:].rstrip("0")
    whole = ("" if whole == "0" and not section.whole else whole).rjust(section.whole, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _power_of_ten(section: _Section, number: Decimal) -> str:
    power = number.adjusted() if number else 0
    mantissa = number.scaleb(-power).quantize(_STEPS[section.decimals], ROUND_HALF_UP)
    if mantissa >= 10:  # 9.996 with two decimals
        power += 1
        mantissa = (mantissa / 10).quantize(_STEPS[section.decimals], ROUND_HALF_UP)
    return f"{mantissa:f}E{'-' if power < 0 else '+'}{str(abs(power)).rjust(section.exponent, '0')}"


def _filled(pattern: tuple[str, ...], value: float) -> str:
    """The digits in the places of the pattern, from the right; those left over stand before it."""
    least = sum(part.count("0") for part in pattern if not part.startswith("\0"))
    digits = list(f"{Decimal(repr(value)).quantize(Decimal(1), ROUND_HALF_UP):f}".zfill(least))
    text = ""
    for part in reversed(pattern):
        if part.startswith("\0"):
            text = part[1:] + text
        else:
            taken = digits[-len(part) :]
            del digits[-len(part) :]
            text = "".join(taken) + text
    return "".join(digits) + text
