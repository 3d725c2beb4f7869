import itertools
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from schemas.prototype import Prototype
from schemas.settings import PrototypeSettings
from tasks.prototypes import figures, fonts
from tasks.prototypes.calibrate import choose_thresholds, leave_one_out
from tasks.prototypes.figures import compare_classes, draw_report, order_alike
from tests.prototypes import build_prototypes, make_members, unit


def draw(members, **chosen):
    chosen = PrototypeSettings(min_images=1, **chosen)
    prototypes, _ = build_prototypes(members, chosen)
    measured = leave_one_out(members, prototypes, chosen)
    return draw_report(prototypes, measured, choose_thresholds(measured, chosen))


@pytest.fixture
def drawn_labels(monkeypatch):
    """The texts at the axes of the heat map."""
    found = []
    label = figures._label_classes

    def record(axes, classes):
        label(axes, classes)
        found.extend(text.get_text() for text in axes.get_yticklabels())
        found.extend(filter(None, [axes.get_xlabel()]))

    monkeypatch.setattr(figures, "_label_classes", record)
    return found


@pytest.mark.parametrize("sizes", [[1], [4], [1, 1], [3, 5], [4] * 9])
def test_every_set_can_be_drawn(sizes):
    picture = Image.open(BytesIO(draw(make_members(sizes))))
    assert picture.format == "PNG"
    assert picture.size == (1650, 990)
    assert len(picture.convert("L").getcolors()) > 20


def test_equal_sets_make_equal_pictures():
    members = make_members([3, 4, 5])
    assert draw(members, k=2) == draw(members, k=2)


def test_names_are_written_as_they_are(drawn_labels):
    draw(make_members([2] * 3, names=["$x_1$", "a very long name of a class", "two\nlines"]))
    assert sorted(drawn_labels) == ["$x_1$", "a very long name o…", "two lines"]


def test_a_name_no_font_can_write_is_its_number(drawn_labels, monkeypatch):
    monkeypatch.setattr(fonts, "PREFERRED", ())
    fonts.find_families.cache_clear()
    try:
        draw(make_members([2] * 3, names=["cat", "dog", "고양이"]))
    finally:
        fonts.find_families.cache_clear()
    assert sorted(drawn_labels) == ["3", "cat", "dog"]


def test_many_classes_have_no_labels(drawn_labels, monkeypatch):
    monkeypatch.setattr(figures, "LABELLED", 3)
    monkeypatch.setattr(figures, "SHOWN", 5)
    draw(make_members([2] * 9))
    assert drawn_labels == ["More than 3 classes: the report names those that are close."]


def test_a_hangul_letter_is_two_columns_wide():
    assert figures._shorten("가" * 9) == "가" * 9
    assert figures._shorten("가" * 10) == "가" * 9 + "…"


def test_similar_classes_lie_side_by_side():
    centres = unit(np.repeat(np.eye(3), 3, axis=0) + 0.1 * np.random.default_rng(0).normal(size=(9, 3)))
    mixed = np.array([0, 3, 6, 1, 4, 7, 2, 5, 8])
    prototypes = [Prototype(str(i), 1, np.zeros(3, np.int64), centres[[c]]) for i, c in enumerate(mixed)]
    order = order_alike(compare_classes(prototypes))
    groups = (mixed[order] // 3).tolist()
    assert sum(a != b for a, b in itertools.pairwise(groups)) == 2


def test_classes_are_as_similar_as_their_nearest_vectors():
    one = Prototype("개", 2, np.zeros(2, np.int64), unit([[1, 0], [0, 1]]))
    other = Prototype("말", 1, np.zeros(2, np.int64), unit([[3, 4]]))
    assert compare_classes([one, other]).tolist() == [[1.0, 0.8], [0.8, 1.0]]
