"""The report of a campaign: counts by format, and what deserves a look though it broke nothing."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.acceptance.fuzz.campaign import Campaign
from tests.acceptance.fuzz.watch import Ask

_FIRST = ("indexed", "indexed in part", "opened")
_MOST_SHOWN = 8


def make_table(campaign: Campaign) -> str:
    """Outcomes by format, as a Markdown table; members of archives and mails in its last row."""
    kinds = {kind for counts in campaign.outcomes.values() for kind in counts} | set(campaign.members)
    heads = [*(kind for kind in _FIRST if kind in kinds), *sorted(kinds - set(_FIRST))]
    total: Counter[str] = Counter()
    lines = [["format", "mutants", *heads], ["---", *["---:"] * (len(heads) + 1)]]
    for name, counts in sorted(campaign.outcomes.items()):
        lines.append(_row(name, counts, heads))
        total.update(counts)
    lines += [_row("all", total, heads), _row("members", campaign.members, heads)]
    peaks = campaign.peaks
    memory = (
        f"{len(campaign.asks)} requests to {len(peaks.processes)} parser processes; slowest "
        f"{max((ask.seconds for ask in campaign.asks), default=0):.1f} s; peaks: parser "
        f"{peaks.child_peak >> 20} MB resident, {peaks.space_peak >> 20} MB address space, "
        f"ingest {peaks.parent_peak >> 20} MB resident, {campaign.grown >> 20} MB kept."
    )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{memory}"


def _row(name: str, counts: Counter[str], heads: list[str]) -> list[str]:
    return [name, str(sum(counts.values())), *(str(counts[head] or "") for head in heads)]


def make_findings(campaign: Campaign) -> str:
    """Crashes, time limits and untranslated exceptions of every rung, with the mutants' names."""
    groups: dict[str, list[Ask]] = defaultdict(list)
    for ask in {(ask.uri, ask.job, ask.error): ask for ask in campaign.asks}.values():
        if ask.error in ("ParseCrashed", "ParseTimeout"):
            groups[f"{ask.error}: {ask.detail}"].append(ask)
        elif ask.raised:
            groups[f"unexpected {ask.raised} in {ask.parser or 'a parser'}, {ask.job}"].append(ask)
    lines = [f"findings: {len(groups)} kinds"]
    for what, asks in sorted(groups.items()):
        lines.append(f"- {what} ({len(asks)})")
        for ask in sorted(asks, key=lambda ask: ask.uri)[:_MOST_SHOWN]:
            how = campaign.how.get(ask.uri.split("/")[0], "")
            lines.append(f"    {ask.uri} {ask.job} {ask.seconds:.1f} s: {how}")
    slow = sorted(campaign.asks, key=lambda ask: -ask.seconds)[:_MOST_SHOWN]
    lines += ["- slowest", *(f"    {ask.uri} {ask.job} {ask.seconds:.1f} s {ask.error}" for ask in slow)]
    return "\n".join([*lines, *(f"FAILED {failure}" for failure in campaign.failures)])
