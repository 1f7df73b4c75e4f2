"""Scales of charts: values to places between 0 and 1, with round numbers as ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_TICKS = 4
_SMALLEST, _LARGEST = 1e-290, 1e300


@dataclass(frozen=True)
class Tick:
    """A round number of a scale, with its place and its text."""

    place: float
    text: str


@dataclass(frozen=True)
class Scale:
    """A linear scale from ``low`` to ``high``."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def place(self, value: float) -> float:
        """Place of a value: 0 at the low end, 1 at the high end; values outside stay at an end."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def make_scale(values: Iterable[float], unit: str = "", *, zero: bool = False, tight: bool = False) -> Scale:
    """Make a scale with room for all values.

    Args:
        values: any number of them; those that are not finite or too large for a chart do not count.
        unit: ``fraction`` for ticks in percent, ``bytes`` for ticks in MB and the like.
        zero: start at 0.
        tight: end at the largest value instead of the next tick.
    """
    finite = [value for value in values if -_LARGEST < value < _LARGEST]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if not high - low > 1e-9 * max(abs(low), abs(high), _SMALLEST):
        half = abs(high) / 20 if abs(high) > _SMALLEST else 0.5
        low, high = (low, low + 2 * half) if zero else (low - half, high + half)
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(each * power for each in _STEPS if each * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    end = high if tight else last * step
    whole = Scale(first * step, end, ())
    ticks = [
        number * step for number in range(first, last + 1) if number * step <= end * (1 + 1e-9) or not tight
    ]
    return Scale(
        whole.low, end, tuple(Tick(whole.place(tick), tick_text(tick, step, unit)) for tick in ticks)
    )


def tick_text(value: float, step: float, unit: str) -> str:
    """A tick with as many decimals as its step needs."""
    if unit == "fraction":
        return f"{_plain(100 * value, 100 * step)}%"
    if unit == "bytes":
        for name, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
            if step >= size / 10:
                return f"{_plain(value / size, step / size)} {name}"
        return f"{_plain(value, step)} B"
    return _plain(value, step)


def _plain(value: float, step: float) -> str:
    if value and not 1e-4 <= abs(step) < 1e6:
        return f"{value:.3g}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if step * 10**decimals % 1 > 1e-6:  # 2.5 and the like.
        decimals += 1
    return f"{value:,.{decimals}f}".replace("-0", "0") if abs(value) < step / 2 else f"{value:,.{decimals}f}"
