"""The statistics that ``llama-perplexity --kl-divergence`` prints, by the names that it prints.

They are computed as there (``tools/perplexity/perplexity.cpp``), so that they are equal within its rounding.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from starfreight.jobs.evaluate.divergence.compare_rows import Tokens

_PERCENTILES = (99.9, 99.0, 95.0, 90.0, 50.0, 10.0, 5.0, 1.0, 0.1)
_CHANGE_PERCENTILES = (99.9, 99.0, 95.0, 90.0, 75.0, 50.0, 25.0, 10.0, 5.0, 1.0, 0.1)

Table = dict[str, tuple[float, float | None]]
"""Values and their standard errors by name. Probabilities are fractions; there they are percentages."""


def llama_table(tokens: Tokens) -> Table:
    """The statistics of tokens.

    Args:
        tokens: of all counted tokens, two or more.
    """
    loss = tokens["llama_loss"].astype(np.float64)
    reference = tokens["llama_reference_loss"].astype(np.float64)
    divergence = tokens["llama_divergence"]
    change = changes_of_p(tokens)
    mean, error = _mean(loss)
    mean_reference, error_reference = _mean(reference)
    covariance = float(np.mean(loss * reference) - mean * mean_reference) / (len(tokens) - 1)
    ratio = mean - mean_reference
    ratio_error = math.sqrt(max(0.0, error**2 + error_reference**2 - 2 * covariance))
    value, value_reference = math.exp(mean), math.exp(mean_reference)
    difference_error = math.sqrt(
        max(
            0.0,
            (value * error) ** 2
            + (value_reference * error_reference) ** 2
            - 2 * value * value_reference * covariance,
        )
    )
    errors = error * error_reference
    table: Table = {
        "Mean PPL(Q)": (value, value * error),
        "Mean PPL(base)": (value_reference, value_reference * error_reference),
        "Cor(ln(PPL(Q)), ln(PPL(base)))": (covariance / errors if errors else 1.0, None),
        "Mean ln(PPL(Q)/PPL(base))": (ratio, ratio_error),
        "Mean PPL(Q)/PPL(base)": (math.exp(ratio), math.exp(ratio) * ratio_error),
        "Mean PPL(Q)-PPL(base)": (value - value_reference, difference_error),
        "Mean KLD": _mean(divergence),
        **_distribution("KLD", divergence.astype(np.float32), _PERCENTILES),
        "Mean Δp": _mean(change.astype(np.float64)),
        **_distribution("Δp", change, _CHANGE_PERCENTILES),
    }
    squares, squares_error = _mean((change * change).astype(np.float64))
    rms = math.sqrt(squares)
    table["RMS Δp"] = (rms, 0.5 * squares_error / rms if rms else 0.0)
    same = float(tokens["llama_same_top"].mean())
    table["Same top p"] = (same, math.sqrt(same * (1 - same) / (len(tokens) - 1)))
    return table


def changes_of_p(tokens: Tokens) -> npt.NDArray[np.float32]:
    """The change of the probability of each token, in llama.cpp's convention."""
    changes: npt.NDArray[np.float32] = np.exp(-tokens["llama_loss"]) - np.exp(-tokens["llama_reference_loss"])
    return changes


def _mean(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The mean and its standard error."""
    mean = float(values.mean())
    variance = float((values * values).mean()) - mean * mean
    return mean, math.sqrt(variance / (len(values) - 1)) if variance > 0 and len(values) > 10 else 0.0


def _distribution(name: str, values: npt.NDArray[np.float32], percentiles: tuple[float, ...]) -> Table:
    ordered = np.sort(values)
    table: Table = {f"Maximum {name}": (float(ordered[-1]), None)}
    for each in percentiles:
        label = "Median" if each == 50.0 else f"{each}%"
        table[f"{label} {name}"] = (_percentile(ordered, each), None)
    table[f"Minimum {name}"] = (float(ordered[0]), None)
    return table


def _percentile(ordered: npt.NDArray[np.float32], percent: float) -> float:
    """Between the two nearest values, in float32 as there."""
    if percent == 50.0:
        return float(np.median(ordered))
    place = np.float32(percent / 100) * np.float32(len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    weight = place - np.float32(below)
    return float((np.float32(1) - weight) * ordered[below] + weight * ordered[above])
