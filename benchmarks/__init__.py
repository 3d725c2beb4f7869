"""Measurements of this project against plain baselines: `python -m benchmarks`."""
