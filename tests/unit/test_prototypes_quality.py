import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.prototype import LeaveOneOut, LeftOut, Thresholds
from schemas.settings import PrototypeSettings
from tasks.prototypes.calibrate import choose_thresholds, leave_one_out
from tasks.prototypes.outliers import find_outliers
from tasks.prototypes.quality import LISTED, assess, auroc
from tasks.prototypes.quality_markdown import quality_markdown
from tests.prototypes import as_members, build_prototypes, make_members, unit

SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=12).map(lambda values: np.array(values) / 5)


def judge(members, *, thresholds=None, left_out=(), **chosen):
    chosen = PrototypeSettings(**{"min_images": 1, **chosen})
    prototypes, found = build_prototypes(members, chosen)
    measured = leave_one_out(members, prototypes, chosen)
    thresholds = thresholds or choose_thresholds(measured, chosen)
    return assess(members, prototypes, measured, thresholds, (*found, *left_out)), measured


@given(SCORES, SCORES)
def test_auroc_is_the_share_of_pairs_in_order(positive, negative):
    pairs = [(p > n) + (p == n) / 2 for p in positive for n in negative]
    assert auroc(positive, negative) == pytest.approx(np.mean(pairs), abs=5.1e-5)


def test_auroc_leaves_out_what_was_not_measured():
    scores = np.array([np.nan, 0.9, np.nan])
    assert auroc(scores, np.array([0.1, np.nan])) == 1.0
    assert auroc(scores[:1], np.array([0.1])) is None
    assert auroc(scores, scores[:1]) is None


def test_the_numbers_are_those_of_the_images_one_by_one():
    thresholds = Thresholds(0.5, 0.02)
    report, m = judge(make_members([9, 1, 7, 8], scatter=2.5), thresholds=thresholds)
    rows = [i for i in range(25) if i != 9]  # a class of one image cannot be measured
    right = [bool(m.predicted[i] == m.owners[i]) for i in rows]
    taken = [bool(m.known.s1[i] >= 0.5 and m.known.margin[i] >= 0.02) for i in rows]
    false = [bool(m.unknown.s1[i] >= 0.5 and m.unknown.margin[i] >= 0.02) for i in range(25)]
    assert 0 < sum(right) < 24
    assert 0 < sum(taken) < 24
    both = sum(r and t for r, t in zip(right, taken, strict=True))
    assert (report["images"], report["measured"]) == (25, 24)
    assert report["accuracy"] == round(sum(right) / 24, 4)
    assert report["coverage"] == round(sum(taken) / 24, 4)
    assert report["accepted_accuracy"] == round(both / sum(taken), 4)
    assert report["wrong_accept_rate"] == round((sum(taken) - both) / 24, 4)
    assert report["false_accept_rate"] == round(sum(false) / 25, 4)
    assert report["statistics"] == {"total_classes": 4, "embedding_dim": 16, "avg_samples_per_class": 6.25}
    by_name = {entry["name"]: entry for entry in report["classes"]["entries"]}
    first = by_name[min(by_name)]
    assert first["number"] == 1
    assert first["accuracy"] == round(sum(right[:9]) / 9, 4)
    assert first["coverage"] == round(sum(taken[:9]) / 9, 4)
    unmeasured = report["classes"]["entries"][-1]
    assert (unmeasured["images"], unmeasured["measured"], unmeasured["accuracy"]) == (1, 0, None)
    assert sum(entry["count"] for entry in report["confusions"]["entries"]) == 24 - sum(right)


@pytest.mark.parametrize("sizes", [[1], [3], [1, 1], [2, 2], [1, 3, 2]])
def test_small_sets_have_a_report_that_json_can_hold(sizes):
    report, _ = judge(make_members(sizes))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert "NaN" not in quality_markdown(report)


def test_an_image_in_the_wrong_class_is_found():
    members = make_members([12, 12, 12], scatter=0.3, names=["가", "나", "다"])
    vectors = members.vectors.copy()
    vectors[3] = unit(vectors[30].astype(float) + 0.1 * vectors[31])
    report, _ = judge(replace(members, vectors=vectors))
    worst = report["outliers"]["entries"][0]
    assert (worst["uri"], worst["class"], worst["nearest"]) == ("가/3.png", "가", "다")
    assert worst["reason"] == "far from its class, nearer to another"
    assert worst["similarity"] < worst["nearest_similarity"]
    assert report["outliers"]["count"] == 1
    assert report["confusions"]["entries"] == [{"true": "가", "predicted": "다", "count": 1, "share": 0.0833}]


def test_an_image_unlike_everything_is_found():
    axes = np.eye(4)
    rows = [axes[0] + 0.02 * i * axes[1] for i in range(-4, 5)]
    other = [axes[1] + 0.02 * i * axes[0] for i in range(-4, 5)]
    vectors = unit([*rows, axes[3] + 0.3 * axes[0], *other])
    report, _ = judge(as_members(["가", "나"], [0] * 10 + [1] * 9, vectors))
    assert [(e["uri"], e["reason"]) for e in report["outliers"]["entries"]] == [
        ("가/9.png", "far from its class")
    ]


@pytest.mark.parametrize(
    ("tau2", "expected"),
    [
        (
            0.01,
            [
                (5, "far from its class, nearer to another"),
                (6, "nearer to another class"),
                (7, "far from its class"),
            ],
        ),
        (0.05, [(5, "far from its class, nearer to another"), (7, "far from its class")]),
    ],
)
def test_the_most_suspicious_image_is_the_first(tau2, expected):
    members = make_members([8, 2], names=["개", "말"])
    prototypes, _ = build_prototypes(members, PrototypeSettings())
    own = np.array([0.80, 0.81, 0.79, 0.80, 0.82, 0.20, 0.78, 0.30, 0.9, 0.9])
    other = np.array([0.1] * 5 + [0.6, 0.8, 0.1, 0.1, 0.1])
    nearest = 1 - members.owners
    measured = LeaveOneOut(np.arange(10), members.owners, own, nearest, other, np.full(10, np.nan))
    found = find_outliers(members, prototypes, measured, Thresholds(0.5, tau2))
    assert [(entry["uri"], entry["reason"]) for entry in found] == [
        (f"개/{n}.png", why) for n, why in expected
    ]


def test_classes_that_look_the_same_are_named():
    vectors = unit([[1, 0.1, 0], [1, 0, 0], [1, 0, 0.1], [1, 0, 0], [0, 0, 1], [0, 0.1, 1]])
    report, _ = judge(as_members(["개", "고양이", "말"], [0, 0, 1, 1, 2, 2], vectors))
    assert report["close_classes"]["count"] == 1
    close = report["close_classes"]["entries"][0]
    assert (close["one"], close["other"]) == ("개", "고양이")
    assert close["similarity"] > 0.99


def test_with_several_vectors_a_class_the_nearest_two_count():
    rows = [[1, 0, 0]] * 4 + [[0, 1, 0]] * 4 + [[0, 1, 0.1]] * 4 + [[0, 0, 1]] * 4
    report, _ = judge(as_members(["개", "말"], [0] * 8 + [1] * 8, unit(rows)), k=2)
    assert [e["similarity"] for e in report["close_classes"]["entries"]] == [0.995]


def test_lists_are_short_and_counts_complete():
    members = make_members([2] * 80, scatter=4.0, dim=4)
    report, measured = judge(members, left_out=[LeftOut(str(n), 1, "too few images") for n in range(70)])
    wrong = measured.predicted != measured.owners
    assert sum(wrong) > LISTED
    assert (report["classes"]["count"], len(report["classes"]["entries"])) == (80, LISTED)
    assert (report["left_out"]["count"], len(report["left_out"]["entries"])) == (70, LISTED)
    pairs = set(zip(measured.owners[wrong].tolist(), measured.predicted[wrong].tolist(), strict=True))
    assert report["confusions"]["count"] == len(pairs) > LISTED
    accuracies = [entry["accuracy"] for entry in report["classes"]["entries"]]
    assert accuracies == sorted(accuracies)
    assert "## Classes: 80, 50 shown" in quality_markdown(report)


def test_a_name_cannot_break_the_table():
    name = "a|b\n# c *d* <script> `e` [f](g) $x$ \x1b[31m"
    report, _ = judge(make_members([2, 2], names=[name, "개"]))
    text = quality_markdown(report)
    row = next(line for line in text.splitlines() if "script" in line and "| 2 |" in line)
    assert r"a\|b \# c \*d\* \<script\> \`e\` \[f\](g) \$x\$ \[31m" in row
    assert "\x1b" not in text
    widths = {
        line.replace("\\|", "").count("|")
        for line in text.splitlines()
        if line.startswith("| ") and "개" in line
    }
    assert widths == {7}


def test_the_report_reads_as_markdown():
    text = quality_markdown(
        judge(
            make_members([4, 4, 1], scatter=0.2, names=["가", "나", "다"]),
        )[0]
    )
    assert text.startswith("**3 classes**, 3 images each, 16 dimensions; 8 of 9 images measured")
    assert "| rightly classified | 1 |" in text
    assert "| 3 | 다 | 1 | 0 | – | – |" in text
