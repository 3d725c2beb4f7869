"""Turn raw capacitance counts of a Thistle probe into volumetric water content.

The conversion has three steps: temperature compensation, a cubic polynomial
that depends on the soil texture, and clamping to the physical range.
"""

from __future__ import annotations

from collections.abc import Iterable

REFERENCE_TEMPERATURE_C = 20.0
TEMPERATURE_COEFFICIENT = 0.0038
AIR_COUNT = 1180
WATER_COUNT = 3460

# Coefficients c0..c3 of the cubic, fitted to 412 oven-dried samples.
TEXTURE_COEFFICIENTS: dict[str, tuple[float, float, float, float]] = {
    "sand": (0.004, 0.412, -0.087, 0.118),
    "loam": (0.011, 0.455, -0.102, 0.131),
    "clay": (0.026, 0.498, -0.143, 0.167),
}


class UnknownTexture(KeyError):
    """Raised for a soil texture without fitted coefficients."""


def compensate(count: float, temperature_c: float) -> float:
    """Correct a raw count for the temperature of the soil.

    A warm probe reads high, by 0.38 percent per degree above 20 Celsius.
    """
    drift = 1.0 + TEMPERATURE_COEFFICIENT * (temperature_c - REFERENCE_TEMPERATURE_C)
    return count / drift


def normalise(count: float) -> float:
    """Map a count to 0 (dry air) .. 1 (pure water)."""
    return (count - AIR_COUNT) / (WATER_COUNT - AIR_COUNT)


def water_content(count: float, temperature_c: float, texture: str = "loam") -> float:
    """Return cubic metres of water per cubic metre of soil, between 0 and 0.6."""
    try:
        c0, c1, c2, c3 = TEXTURE_COEFFICIENTS[texture]
    except KeyError:
        raise UnknownTexture(texture) from None
    x = normalise(compensate(count, temperature_c))
    value = c0 + c1 * x + c2 * x**2 + c3 * x**3
    return min(0.6, max(0.0, value))


class RollingMedian:
    """Median of the last readings, used to drop spikes from lightning."""

    def __init__(self, window: int = 7) -> None:
        if window % 2 == 0:
            raise ValueError("the window must be odd")
        self.window = window
        self._values: list[float] = []

    def add(self, value: float) -> float:
        """Add a reading and return the current median."""
        self._values = [*self._values, value][-self.window :]
        return sorted(self._values)[len(self._values) // 2]


def smooth(values: Iterable[float], window: int = 7) -> list[float]:
    """Apply a rolling median to a whole series."""
    median = RollingMedian(window)
    return [median.add(value) for value in values]
