"""A picture of a set of prototypes: which classes look alike, and where the thresholds lie."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.prototype import LeaveOneOut, Prototype, Thresholds
from tasks.prototypes.classify import Bank
from tasks.prototypes.fonts import find_families, name_checker

LABELLED: Final = 40
"""Classes whose names can still be read side by side."""
SHOWN: Final = 300
"""Classes in the heat map: of more, those nearest to another one."""
LABEL_WIDTH: Final = 18
"""Of a name, in Latin letters; a Hangul letter is two wide."""

_DPI = 110
_KNOWN, _UNKNOWN = "#1f77b4", "#e07b00"

Floats = NDArray[np.float64]


def draw_report(prototypes: Sequence[Prototype], measured: LeaveOneOut, thresholds: Thresholds) -> bytes:
    """PNG: similarities of the classes, and the scores of known and unknown images with the thresholds.

    Similar classes lie side by side. Up to `LABELLED` classes are named; a name that no installed font
    can write is a number, its place by name from 1, as in the report.

    Args:
        prototypes: sorted by name.
        measured: of these prototypes.
        thresholds: that are in use.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # not pyplot: its state is that of the process, and a flow may draw in several threads
    figure = Figure(figsize=(15, 9), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.55, 1))
    _draw_classes(figure.add_subplot(grid[:, 0]), prototypes)
    known, unknown = measured.known, measured.unknown
    top, bottom = figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    _draw_scores(top, known.s1, unknown.s1, "Similarity to the nearest class", ("tau1", thresholds.tau1))
    _draw_scores(
        bottom, known.margin, unknown.margin, "Margin to the second class", ("tau2", thresholds.tau2)
    )
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def compare_classes(prototypes: Sequence[Prototype]) -> Floats:
    """(C, C) float64: cosine of the nearest vectors of each two classes, in the order given."""
    bank = Bank(prototypes)
    starts = np.cumsum([0, *(len(one.vectors) for one in prototypes)])
    found = [part for _, part in bank.blocks(bank.vectors, np.arange(len(bank.vectors)))]
    result: Floats = np.maximum.reduceat(np.concatenate(found), starts[:-1], axis=0)
    return result


def order_alike(cosines: Floats) -> NDArray[np.int64]:
    """(C,) indexes, similar classes side by side: the leaves of a tree of average distances."""
    from scipy.cluster.hierarchy import leaves_list, linkage  # type: ignore[import-untyped]
    from scipy.spatial.distance import squareform  # type: ignore[import-untyped]

    if len(cosines) < 3:
        return np.arange(len(cosines))
    distances = np.maximum(1 - (cosines + cosines.T) / 2, 0)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances), method="average", optimal_ordering=True)
    order: NDArray[np.int64] = leaves_list(tree).astype(np.int64)
    return order


def _draw_classes(axes: Any, prototypes: Sequence[Prototype]) -> None:
    cosines = compare_classes(prototypes)
    shown = _nearest_to_another(cosines)
    shown = shown[order_alike(cosines[np.ix_(shown, shown)])]
    cosines = cosines[np.ix_(shown, shown)]
    # the diagonal is 1 and would be the only thing bright
    masked = np.ma.masked_array(cosines, np.eye(len(shown), dtype=bool))
    others = masked.compressed()
    lowest, highest = (float(others.min()), float(others.max())) if len(others) else (0.0, 1.0)
    highest = min(1.0, max(highest, lowest + 0.1))
    image = axes.imshow(masked, cmap="viridis", vmin=min(lowest, highest - 0.1), vmax=highest)
    axes.set_facecolor("lightgrey")
    of = f"{len(shown)} of {len(prototypes)}" if len(shown) < len(prototypes) else str(len(shown))
    title = f"How similar the classes are: {of} classes, similar ones side by side"
    if len(others):
        axes.figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02).set_label("cosine of two classes")
    axes.set_title(title if len(others) else "One class: there is none to compare it with")
    _label_classes(axes, [(int(index) + 1, prototypes[index].name) for index in shown])


def _nearest_to_another(cosines: Floats) -> NDArray[np.int64]:
    if len(cosines) <= SHOWN:
        return np.arange(len(cosines))
    nearest = np.where(np.eye(len(cosines), dtype=bool), -1.0, cosines).max(axis=1)
    return np.sort(np.argsort(-nearest, kind="stable")[:SHOWN])


def _label_classes(axes: Any, classes: Sequence[tuple[int, str]]) -> None:
    if len(classes) > LABELLED:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"More than {LABELLED} classes: the report names those that are close.")
        return
    can_write = name_checker()
    labels = [short if can_write(short := _shorten(name)) else str(number) for number, name in classes]
    size = 10 if len(classes) <= 20 else 7.5
    style = {"fontfamily": list(find_families()), "fontsize": size, "parse_math": False}
    places = range(len(classes))
    axes.set_xticks(places, labels, rotation=90, **style)
    axes.set_yticks(places, labels, **style)


def _shorten(name: str) -> str:
    """The name on one line, in at most `LABEL_WIDTH` columns."""
    letters: list[str] = []
    width = 0
    for letter in " ".join(name.split()):
        width += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width > LABEL_WIDTH:
            return "".join(letters) + "…"
        letters.append(letter)
    return "".join(letters)


def _draw_scores(axes: Any, known: Floats, unknown: Floats, title: str, threshold: tuple[str, float]) -> None:
    groups = [
        (values[~np.isnan(values)], color, label)
        for values, color, label in (
            (known, _KNOWN, "images of a known class"),
            (unknown, _UNKNOWN, "the same, their class left out"),
        )
    ]
    every = np.concatenate([values for values, _, _ in groups])
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    bins = np.linspace(low, max(high, low + 0.01), 51)
    for values, color, label in groups:
        if len(values):
            weights = np.full(len(values), 100 / len(values))
            axes.hist(values, bins=bins, weights=weights, color=color, alpha=0.55, label=label)
    name, value = threshold
    if low - 0.2 <= value <= high + 0.2:  # one that lets nothing through would press all into a corner
        axes.axvline(value, color="black", linestyle="--", linewidth=1.5)
    axes.plot([], [], color="black", linestyle="--", label=f"{name} = {value:.4g}")
    axes.set_title(title)
    axes.set_ylabel("% of the images")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, fontsize=8.5, frameon=False)
