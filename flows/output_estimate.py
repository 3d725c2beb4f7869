"""What embedding is going to cost, in words: as much as is known, and no more."""

from __future__ import annotations

from schemas.estimate import Estimate, ReembedPlan
from schemas.release import Kind

NOUNS: dict[Kind, tuple[str, str]] = {"documents": ("chunk", "chunks"), "images": ("image", "images")}
UNKNOWN_TIME = "how long is not known: this model has embedded nothing here yet"


def describe_estimate(estimate: Estimate, kind: Kind = "documents") -> str:
    """How much is to be embedded, and how long it takes.

    >>> describe_estimate(Estimate(1198, 208113, 171.0))
    '1,198 chunks to embed, 208,113 tokens, about 3 min by the last runs'
    >>> describe_estimate(Estimate(1198, 208113, 171.0, "collection", at_most=True))
    'at most 1,200 chunks to embed, 210,000 tokens, 3 min by the last runs'
    >>> describe_estimate(Estimate())
    'nothing to embed'
    """
    if not estimate.texts:
        return "nothing to embed"
    is_counted = estimate.basis == "counted"
    texts, tokens = estimate.texts, estimate.tokens
    if not is_counted:
        texts, tokens = rounded(texts), rounded(tokens)
    parts = [f"{texts:,} {NOUNS[kind][texts != 1]} to embed"]
    if tokens:
        parts.append(f"{tokens:,} tokens")
    if estimate.basis == "typical":
        parts[-1] += " as documents usually are"
    if estimate.seconds is None:
        parts.append(UNKNOWN_TIME)
    else:
        parts.append(f"{'about ' if is_counted else ''}{duration(estimate.seconds)} by the last runs")
    how = "" if is_counted else "at most " if estimate.at_most else "about "
    return how + ", ".join(parts)


def rounded(number: int) -> int:
    """Two digits of it: it is a guess, and looks like one.

    >>> rounded(208113), rounded(1249), rounded(7), rounded(0)
    (210000, 1200, 7, 0)
    """
    return round(number, 2 - len(str(number))) if number > 99 else number


def duration(seconds: float) -> str:
    """As people say it.

    >>> duration(0.2), duration(45), duration(171), duration(7_900), duration(200_000)
    ('1 s', '45 s', '3 min', '2 h 12 min', '56 h')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours >= 24:
        return f"{round(minutes / 60)} h"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def print_estimate(estimate: Estimate | None, kind: Kind = "documents") -> None:
    """The line below a plan; none where nothing is added or changed."""
    if estimate is not None:
        print(f"  {describe_estimate(estimate, kind)}")


def print_reembed_plan(plan: ReembedPlan, kind: Kind = "documents") -> None:
    """A reembed that was only looked at."""
    if not plan.is_change:
        print(f"Collection {plan.collection} shows vectors of {plan.model_after} already: nothing to do.")
        return
    print(
        f"A reembed of collection {plan.collection} would change {plan.model_before} to {plan.model_after}:"
    )
    for line in reembed_plan_lines(plan, kind):
        print(f"  {line}")
    print("Nothing was written.")


def reembed_plan_lines(plan: ReembedPlan, kind: Kind = "documents") -> list[str]:
    """What it would do, a fact a line."""
    nouns = NOUNS[kind]
    lines = [f"{plan.chunks:,} {nouns[plan.chunks != 1]} shown, {plan.kept:,} with such a vector already"]
    if plan.converted:
        lines.append(f"{plan.converted:,} stored vectors to be written in the other way; no model is needed")
    else:
        lines.append(describe_estimate(plan.estimate, kind))
    if plan.truncated:
        lines.append(f"{plan.truncated:,} of them longer than the new model reads: it sees their beginning")
    return lines
