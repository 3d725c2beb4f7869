"""Reading documents, against plain unstructured on the same files in the same run."""

from __future__ import annotations

import gc
import statistics
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Row, median_ratio, per_second
from benchmarks.peer import open_peer, silence, text_of
from schemas.document import ParsedDocument
from schemas.errors import DocumentError
from tasks.cleaning import clean
from tasks.parsing.base import choose_parser, parse_file
from tasks.parsing.sniff import HEAD_BYTES
from tasks.parsing.worker import ParserPool, Request
from tests.formats.source import REPORTS

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ("samples/documents", "tests/formats/fixtures")
SCANS = ("scan.", "stamped-scan.")
"""Left out: their text comes from OCR, the same program on both sides."""

AS_THEY_ARE = ("json", "jsonl", "notebook", "xml")
"""Kinds that unstructured gives back without reading them: its words are their notation."""

DAMAGED = (".mojibake", ".latin1", "no-unicode-map")
"""Files whose letters are wrong until they are repaired, or read by OCR: no words to compare."""

POOL_WORKERS = 2
POOL_REPEATS = 4
_MARKS = str.maketrans(dict.fromkeys("|#*-`>_\\•", " "))

Seconds = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class File:
    """A file that both sides read: our parser's name for it, and the words that both found."""

    path: Path
    parser: str
    pages: int
    ours: Counter[str]
    peer: Counter[str]


def run(quick: bool) -> list[Row]:
    """Documents a second of both, in all and by format; pages of PDF; the text that was found."""
    partition = open_peer()
    with silence():
        files, left_out = _readable(partition)
        gc.collect()
        gc.freeze()  # what all those libraries hold costs neither side a look
        sides: Mapping[str, Callable[[Path], object]] = {
            "ours": lambda path: parse_file(path, path.name),
            "peer": lambda path: partition(filename=str(path), strategy="fast"),
            "tuned": lambda path: partition(filename=str(path), strategy="fast", languages=[""]),
        }
        seconds = {file.path: _time(file.path, sides, rounds=3 if quick else 7) for file in files}
        pooled = _time_pool(files, rounds=1 if quick else 5)
    return [
        *_mixed_rows(files, seconds),
        _pool_row(files, seconds, pooled),
        *_pdf_rows(files, seconds),
        *_format_rows(files, seconds),
        *_text_rows(files),
        _left_out_row(files, left_out),
    ]


def corpus() -> list[Path]:
    """The sample documents and the fixtures of all formats, without scans."""
    paths = (path for folder in CORPUS for path in (ROOT / folder).rglob("*") if path.is_file())
    return sorted(path for path in paths if not path.name.startswith(SCANS))


def _readable(partition: Callable[..., list[object]]) -> tuple[list[File], list[str]]:
    """Files in which both find text; what the peer cannot read, or ours, with the reason.

    This is the warm-up too: every library is imported and has read one file of each kind.
    """
    files, left_out = [], []
    for path in corpus():
        name = path.relative_to(ROOT).name
        try:
            parsed = parse_file(path, path.name)
        except DocumentError as error:
            left_out.append(f"{name} (ours: {type(error).__name__})")
            continue
        try:
            text = text_of(partition, path)
        except Exception as error:  # it raises whatever its libraries raise
            left_out.append(f"{name} ({type(error).__name__})")
            continue
        if not text.strip():
            left_out.append(f"{name} (no text)")
            continue
        files.append(_file(path, parsed, text))
    return files, left_out


def _file(path: Path, parsed: ParsedDocument, peer_text: str) -> File:
    pages = max((element.page or 1 for element in parsed.elements), default=1)
    parser = choose_parser(path.read_bytes()[:HEAD_BYTES], path.name)
    return File(path, parser, pages, _words(clean(parsed).text), _words(peer_text))


def _words(text: str) -> Counter[str]:
    """Words, Hangul composed, without the marks of tables, lists and headings: only one side writes them."""
    return Counter(unicodedata.normalize("NFC", text).translate(_MARKS).split())


def _time(path: Path, sides: Mapping[str, Callable[[Path], object]], *, rounds: int) -> Seconds:
    """Seconds of each side for one file, in turns."""
    seconds: Seconds = {name: [] for name in sides}
    gc.collect()  # garbage of one file is not collected on the time of the next
    for _ in range(rounds):
        for name, side in sides.items():
            started = time.perf_counter()
            side(path)
            seconds[name].append(time.perf_counter() - started)
    return seconds


def _time_pool(files: Sequence[File], *, rounds: int) -> list[float]:
    """Seconds of all files through the parser pool, each several times, pipes and new processes included."""
    requests = [Request(file.path, file.path.name) for file in files] * POOL_REPEATS
    seconds = []
    with ParserPool(POOL_WORKERS) as pool:
        for number in range(rounds + 1):
            started = time.perf_counter()
            answers = [pool.submit(request) for request in requests]
            outcomes = [answer.result() for answer in answers]
            if number:  # the first one started the processes and imported their libraries
                seconds.append((time.perf_counter() - started) / POOL_REPEATS)
            assert all(isinstance(outcome, ParsedDocument) for outcome in outcomes)
    return seconds


def _mixed_rows(files: Sequence[File], seconds: Mapping[Path, Seconds]) -> list[Row]:
    count = f"{len(files)} documents of {len({file.parser for file in files})} kinds"
    rest = [file for file in files if file.parser != "pdf"]
    promised = (
        "documents/s of `parse_file` / of unstructured's `partition`, {}; higher is better, promised is 3"
    )
    return [
        _row(f"read {count}", files, seconds, promised.format("as installed, `strategy=fast`")),
        _row(f"read {count}, tuned", files, seconds, promised.format('with `languages=[""]`'), "tuned"),
        _row(f"read {len(rest)} of them, no PDF", rest, seconds, promised.format("PDFs left out")),
        _median_row(files, seconds),
    ]


def _median_row(files: Sequence[File], seconds: Mapping[Path, Seconds]) -> Row:
    """Every file counts alike: a slow one has no more weight than a fast one."""
    ratios = sorted(_ratio([file], seconds, "peer") for file in files)
    slower = [file.path.name for file in files if _ratio([file], seconds, "peer") < 1]
    tenth = f"{ratios[len(ratios) // 10]:.1f} at the tenth percentile"
    return Row(
        name=f"ratio of the median document of {len(files)}",
        ours="-",
        baseline="-",
        ratio=statistics.median(ratios),
        meaning=f"documents/s of ours / of unstructured as installed, file by file ({tenth}; "
        f"slower: {', '.join(slower) or 'none'})",
    )


def _pool_row(files: Sequence[File], seconds: Mapping[Path, Seconds], pooled: Sequence[float]) -> Row:
    peer = _totals(files, seconds, "peer")
    return Row(
        name=f"read them in {POOL_WORKERS} parser processes",
        ours=per_second(len(files), pooled, "documents"),
        baseline=per_second(len(files), peer, "documents"),
        ratio=statistics.median(peer) / statistics.median(pooled),
        meaning="killable processes with limits, pipes and replaced processes included / unstructured in "
        "one process; higher is better",
    )


def _pdf_rows(files: Sequence[File], seconds: Mapping[Path, Seconds]) -> list[Row]:
    files = [file for file in files if file.parser == "pdf"]
    pages = sum(file.pages for file in files)
    if not files:
        return [_no_pdf_row()]
    meaning = f"pages of {len(files)} PDFs / the same by unstructured (pdfminer.six); higher is better"
    return [_row(f"read {pages} pages of PDF", files, seconds, meaning, count=pages, unit="pages")]


def _no_pdf_row() -> Row:
    hint = "unstructured needs pdfminer.six for it, which is not installed: see README.md"
    return Row(name="read pages of PDF", ours="-", baseline="-", ratio=None, meaning=hint)


def _format_rows(files: Sequence[File], seconds: Mapping[Path, Seconds]) -> list[Row]:
    groups = defaultdict(list)
    for file in files:
        groups[file.parser].append(file)
    return [
        _row(f"{name}, {len(group)} files", group, seconds, "documents/s; higher is better")
        for name, group in sorted(groups.items())
    ]


def _row(
    name: str,
    files: Sequence[File],
    seconds: Mapping[Path, Seconds],
    meaning: str,
    peer: str = "peer",
    *,
    count: int = 0,
    unit: str = "documents",
) -> Row:
    count = count or len(files)
    return Row(
        name=name,
        ours=per_second(count, _totals(files, seconds, "ours"), unit),
        baseline=per_second(count, _totals(files, seconds, peer), unit),
        ratio=_ratio(files, seconds, peer),
        meaning=meaning,
    )


def _ratio(files: Sequence[File], seconds: Mapping[Path, Seconds], peer: str) -> float:
    return median_ratio(_totals(files, seconds, peer), _totals(files, seconds, "ours"))


def _totals(files: Iterable[File], seconds: Mapping[Path, Seconds], side: str) -> list[float]:
    """Seconds of all these files by round."""
    return [sum(one) for one in zip(*(seconds[file.path][side] for file in files), strict=True)]


def _text_rows(files: Sequence[File]) -> list[Row]:
    """How much of the text each finds: of the other side's, and of the source of the reports."""
    texts = [file for file in files if file.parser not in AS_THEY_ARE]
    sound = [file for file in texts if not any(name in file.path.name for name in DAMAGED)]
    shares = sorted((_share([(file.peer, file.ours)]), file.path.name) for file in sound)
    least = ", ".join(f"{name} {share:.2f}" for share, name in shares[:5] if share < 0.9)
    reports = [file for file in texts if file.path.name.startswith("report.")]
    wanted = [_words(" ".join(REPORTS[file.path.name.split(".")[1]].words())) for file in reports]
    return [
        _share_row(
            f"words of the other side, {len(sound)} files",
            _share([(file.peer, file.ours) for file in sound]),
            _share([(file.ours, file.peer) for file in sound]),
            f"share that it has too, marks of tables and lists aside; JSON and notebooks, which unstructured "
            f"gives as they are, and files with damaged letters left out; "
            f"higher is better. Least of ours: {least or 'none under .9'}",
        ),
        _share_row(
            f"words of the source, {len(reports)} reports",
            _share([(words, file.ours) for words, file in zip(wanted, reports, strict=True)]),
            _share([(words, file.peer) for words, file in zip(wanted, reports, strict=True)]),
            "share of the words that the fixtures were made from; higher is better",
        ),
    ]


def _share_row(name: str, ours: float, peer: float, meaning: str) -> Row:
    return Row(name=name, ours=f"{ours:.3f}", baseline=f"{peer:.3f}", ratio=ours / peer, meaning=meaning)


def _share(pairs: Sequence[tuple[Counter[str], Counter[str]]]) -> float:
    """Of (wanted, found) words, how many of all wanted ones were found."""
    return sum((wanted & found).total() for wanted, found in pairs) / sum(w.total() for w, _ in pairs)


def _left_out_row(files: Sequence[File], left_out: Sequence[str]) -> Row:
    return Row(
        name="files that only one side reads",
        ours=f"{sum('ours:' not in name for name in left_out)}",
        baseline=f"{sum('ours:' in name for name in left_out)}",
        ratio=None,
        meaning=f"left out above, beside {len(files)} that both read: {', '.join(left_out)}",
    )
