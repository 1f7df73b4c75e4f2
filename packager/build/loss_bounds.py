"""Compare a file's losses with training's: the bounds, and the statistics they apply to.

Three figures catch different faults. The *difference* of the mean losses shows a worse or better file. The
*spread* of the losses of single tokens shows another model that is no worse. The *adapter's share* shows a
missing adapter that has learned little: of the change that the adapter made to the loss of each token in
training, the share that the file shows. It is 1 for the right file, 0 without the adapter, and rounding of
single tokens averages out. ``docs/packaging-checks.md`` has the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from starfreight.quantization import Quantization


@dataclass(frozen=True)
class Bounds:
    """Bounds of a comparison.

    Attributes:
        difference: largest difference of the mean losses, in nats per token, either way.
        spread: largest root mean square of the differences of single tokens, in nats.
    """

    difference: float
    spread: float


_BOUNDS = {
    Quantization.F32: Bounds(0.05, 0.2),
    Quantization.F16: Bounds(0.05, 0.2),
    Quantization.BF16: Bounds(0.05, 0.2),
    Quantization.Q8_0: Bounds(0.05, 0.2),
    Quantization.Q6_K: Bounds(0.1, 0.4),
    Quantization.Q5_K_M: Bounds(0.1, 0.5),
    Quantization.Q5_K_S: Bounds(0.1, 0.5),
    Quantization.Q5_0: Bounds(0.1, 0.5),
    Quantization.Q4_K_M: Bounds(0.2, 0.8),
    Quantization.Q4_K_S: Bounds(0.2, 0.8),
    Quantization.Q4_0: Bounds(0.2, 0.8),
    Quantization.IQ4_NL: Bounds(0.2, 0.8),
    Quantization.IQ4_XS: Bounds(0.2, 0.8),
    Quantization.Q3_K_M: Bounds(0.4, 1.2),
    Quantization.Q3_K_S: Bounds(0.4, 1.2),
    Quantization.Q2_K: Bounds(1.0, 2.0),
}

_NF4 = Bounds(0.15, 0.5)
"""Added for an adapter trained on NF4 and run on the base's own weights."""

_SHARE = 0.05
"""Deviation of the adapter's share from 1 that is always accepted."""

_CORRELATION = 0.7
"""Part of the unexplained changes that is accepted as a deviation of the share, too.

Rounding is not independent of the adapter: both change uncertain tokens most, and an adapter partly makes up
for the rounding to NF4."""

_NOISY = 1.0
"""Ratio of the unexplained changes to the adapter's effect above which they are accepted in full."""


def bounds_of(quantization: Quantization, *, other_base: bool) -> Bounds:
    """The bounds for a file.

    Args:
        quantization: of the file.
        other_base: true if training saw the base in NF4 and the file holds its own weights.
    """
    bounds = _BOUNDS[quantization]
    if not other_base:
        return bounds
    return Bounds(bounds.difference + _NF4.difference, bounds.spread + _NF4.spread)


@dataclass(frozen=True)
class Comparison:
    """A file's losses beside training's.

    Attributes:
        loss: mean loss of the file, in nats per token; NaN if the loss of a token is not finite.
        difference: of the mean losses: the file's less training's.
        spread: root mean square of the differences of single tokens, in nats.
        share: the adapter's share in the file; ``None`` if it changed no loss in training.
        error: standard error of the share.
        noise: the file's changes that the share leaves unexplained, as a multiple of the adapter's effect.
    """

    loss: float
    difference: float
    spread: float
    share: float | None
    error: float = 0.0
    noise: float = 0.0

    def problem(self, bounds: Bounds) -> str | None:
        """The reason to refuse the file, completing "The file ..."; ``None`` if it is within the bounds."""
        if not math.isfinite(self.loss):
            return "has a loss that is not finite"
        # A NaN is within no bound.
        if not abs(self.difference) <= bounds.difference:
            return f"differs by {self.difference:+.4f} nats per token (bound {bounds.difference:g})"
        if not self.spread <= bounds.spread:
            return f"differs by {self.spread:.4f} nats in single tokens (bound {bounds.spread:g})"
        correlation = 1.0 if self.noise > _NOISY else _CORRELATION
        tolerance = _SHARE + correlation * self.noise + 3 * self.error
        if self.share is not None and not abs(self.share - 1) <= tolerance:
            return f"shows {self.share:.0%} of the adapter's effect (bound 100% ± {tolerance:.0%})"
        return None


def compare(measured: Sequence[float], tuned: Sequence[float], base: Sequence[float]) -> Comparison:
    """Compare losses of the same tokens, in nats.

    The share is the slope of the regression through the origin of the file's change on training's, each from
    the base's loss of the token.

    Args:
        measured: of the file.
        tuned: in training, with the adapter.
        base: in training, without it.
    """
    import numpy as np

    file, tuned_losses, base_losses = (np.asarray(row, np.float64) for row in (measured, tuned, base))
    if not np.isfinite(file).all():
        return Comparison(math.nan, math.nan, math.nan, None)
    with np.errstate(over="ignore", invalid="ignore"):  # The bounds refuse what is too large.
        apart = file - tuned_losses
        difference, spread = float(apart.mean()), math.sqrt(float(apart @ apart) / len(apart))
        change, shown = tuned_losses - base_losses, file - base_losses
        square = float(change @ change)
        if square == 0 or len(change) < 2:
            return Comparison(float(file.mean()), difference, spread, None)
        share = float(shown @ change) / square
        rest = shown - share * change
        noise = math.sqrt(float(rest @ rest) / square)
        return Comparison(
            float(file.mean()), difference, spread, share, noise / math.sqrt(len(change) - 1), noise
        )
