"""Figures and intervals as text."""

from __future__ import annotations

from starfreight.console import human_count
from starfreight.evaluation import Figure

_LARGEST = 1e300


def figure_text(figure: Figure) -> str:
    """A figure, such as ``41.2%``."""
    return value_text(figure.value, figure.unit)


def interval_text(figure: Figure) -> str:
    """Its 95% interval, such as ``35.0–48.1``; empty if there is none."""
    if figure.method == "none":
        return ""
    low, high = (value_text(value, figure.unit).removesuffix("%") for value in (figure.low, figure.high))
    return f"{low}–{high}"


def value_text(value: float, unit: str) -> str:
    """A value with as many digits as people compare."""
    if not -_LARGEST < value < _LARGEST:
        return f"{value:.3g}"
    if unit == "fraction":
        return f"{100 * value:.1f}%"
    if unit == "bytes":
        return human_count(value, "B")
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e6 or 0 < size < 1e-4:
        return f"{value:.3g}"
    return f"{value:,.0f}" if size >= 100 else f"{value:#.3g}"


def p_text(p: float) -> str:
    """A p-value after the letter p: ``= 0.03`` or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"
