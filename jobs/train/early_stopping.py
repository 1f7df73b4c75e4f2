"""DivergenceDetector detection and early stopping, from the losses so far."""

from __future__ import annotations

from collections.abc import Sequence

_KEEP = 0.9
_WORSE = 2.0
"""How far the smoothed loss may rise above its minimum, in nats per token: by then each token has become
seven times less likely, more than a bad batch explains."""

_PATIENCE = 20
"""Consecutive steps above the limit. A few bad batches are not a divergence."""


class DivergenceDetector:
    """Detects divergence from the training loss of each step."""

    def __init__(self) -> None:
        self._average: float | None = None
        self._lowest = float("inf")
        self._bad = 0

    def add(self, loss: float) -> bool:
        """Add the loss of one step, in nats per token; return True if training has diverged."""
        self._average = loss if self._average is None else _KEEP * self._average + (1 - _KEEP) * loss
        self._lowest = min(self._lowest, self._average)
        self._bad = self._bad + 1 if self._average > self._lowest + _WORSE else 0
        return self._bad >= _PATIENCE


def has_stalled(losses: Sequence[float], patience: int | None) -> bool:
    """True if none of the last ``patience`` held-out losses is lower than the best before them."""
    if patience is None or len(losses) <= patience:
        return False
    return min(losses[-patience:]) >= min(losses[:-patience])
