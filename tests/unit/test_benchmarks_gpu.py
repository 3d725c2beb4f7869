"""The benchmark for a GPU, on shapes so small that a CPU measures them."""

from __future__ import annotations

import pytest

from benchmarks import gpu
from benchmarks.shapes import TextShape, build_text_model
from tests.tiny_clip import build_tiny_clip

pytestmark = pytest.mark.model

TINY = TextShape(layers=2, width=32, inner=64, heads=2, vocabulary=30_522, tokens=64)


def test_without_a_gpu_it_says_so_and_succeeds(capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 0
    assert capsys.readouterr().out == "There is no CUDA device here: nothing was measured.\n"


def test_a_model_of_a_shape_is_measured_against_the_library(tmp_path):
    folder = build_text_model(tmp_path / "tiny", TINY)
    row = gpu.measure_text_model("tiny", str(folder), ["환불 규정", "a lease"] * 3, "cpu")
    assert (row.count, row.unit, row.busy) == (6, "texts", [])
    assert row.cosine > 0.999
    assert min(row.ours, row.theirs, row.flops) > 0


def test_several_devices_are_measured_against_one(tmp_path):
    folder = build_text_model(tmp_path / "tiny", TINY)
    row = gpu.measure_several(str(folder), ["환불 규정", "a lease"] * 3, "cpu,cpu", one="cpu")
    assert row.name == "tiny, 2 devices (ratio to one device)"
    assert row.cosine > 0.999
    assert row.cells(989)[4] == "-"


def test_image_models_are_measured_against_the_library(tmp_path, monkeypatch):
    monkeypatch.setattr(
        gpu, "build_clip", lambda folder, _: build_tiny_clip(folder, tower="transformer", image_size=64)
    )
    (row,) = gpu.measure_images(tmp_path, "cpu", count=4, clips={"tiny": (2, 64, 16)})
    assert (row.count, row.unit) == (4, "images")
    assert row.cosine > 0.99


def test_the_report_is_a_table_with_the_share_of_the_peak():
    row = gpu.Measured("m", "texts", 1000, 2.0, 4.0, flops=989e12, cosine=0.9999, busy=[90, 98, 99])
    lines = gpu.report([row], "NVIDIA H200").splitlines()
    assert lines[0] == "### NVIDIA H200, 989 TFLOP/s"
    assert lines[-1] == "| m | 500 texts/s | 250 texts/s | 2.00 | 50% | 0.9999 | 98 % (least 90 %) |"
    assert gpu.report([row], "Unheard-of").splitlines()[-1].count(" - ") == 1
