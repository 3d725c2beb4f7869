"""What a change of the embedding model did, for people."""

from __future__ import annotations

from flows.output_estimate import duration
from schemas.reembed import Comparison, ReembedReport


def print_reembed(report: ReembedReport) -> None:
    """A reembed: from what to what, what it cost, how the two compare, and what comes next."""
    if report.release is None:
        print(f"Collection {report.collection} shows vectors of {report.model_after} already: nothing to do.")
        return
    print(f"Run {report.run_id} of collection {report.collection}: {report.state}")
    print(f"  model      {report.model_before} -> {report.model_after}")
    print(f"  chunks     {counts_line(report)}")
    if report.truncated:
        print(f"  truncated  {truncated_line(report)}")
    print(f"  compared   {comparison_line(report.comparison)}")
    print(f"  release    {report.release}, digest {report.digest[:16] if report.digest else ''}")
    print(f"  switched   in {report.switch_seconds:.3f} s; before, searches read the old vectors")
    total = report.seconds.get("total", 0.0)
    paused = f", of them {duration(report.paused)} stood back for searches" if report.paused else ""
    print(f"  took       {duration(total)}{paused}")
    print(f"Next: {next_step(report)}")


def counts_line(report: ReembedReport) -> str:
    """Chunks by where their vectors came from.

    >>> counts_line(ReembedReport("r", "hr", "a", "b", chunks=1200, kept=200, embedded=1000, tokens=152000))
    '1,200 shown: 200 had a vector, 1,000 embedded (152,000 tokens)'
    """
    parts = [f"{report.kept:,} had a vector"] if report.kept else []
    if report.embedded or not report.converted:
        parts.append(
            f"{report.embedded:,} embedded" + (f" ({report.tokens:,} tokens)" if report.tokens else "")
        )
    if report.converted:
        parts.append(f"{report.converted:,} stored in the other way")
    return f"{report.chunks:,} shown: {', '.join(parts)}"


def truncated_line(report: ReembedReport) -> str:
    """Chunks that the new model does not read to their end."""
    return (
        f"{report.truncated:,} chunks are longer than {report.model_after} reads, as the old model counts: "
        "it sees their beginning"
    )


def comparison_line(found: Comparison | None) -> str:
    """How the two spaces compare.

    >>> print(comparison_line(Comparison(50, 10, 0.62, 0.994)))  # doctest: +ELLIPSIS
    50 queries: 62% of the best 10 chunks are the same with both models; of the exact ones ... finds 99.4%
    """
    if found is None:
        return "not: for images, without chunks to ask with, or where the old model is not here"
    asked = f"{found.queries} {'query' if found.queries == 1 else 'queries'}"
    return (
        f"{asked}: {found.overlap:.0%} of the best {found.k} chunks are the same with both models; "
        f"of the exact ones the new index finds {found.recall:.1%}"
    )


def next_step(report: ReembedReport) -> str:
    """What to do with the settings, now or never, and what it costs."""
    if report.is_same_model:
        return (
            "`vectors` of the collection in revector.toml still say the old way: leave both, or move what "
            "stands in `next` there. Nothing is embedded for it. `revector rollback --last` goes back."
        )
    return (
        f"`model` in revector.toml still names {report.model_before}: leave both, or set it to what `next` "
        "names. The next ingest then cuts chunks for the new model, which embeds those whose text changes. "
        "`revector rollback --last` goes back and embeds nothing."
    )
