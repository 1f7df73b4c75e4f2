"""Means over problems, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Z = 1.959963984540054
"""Of the normal distribution, for 95 %."""

RESAMPLES, SEED = 10_000, 0
"""Of the bootstrap; the same figures give the same interval."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval.

    Attributes:
        mean: over all items.
        low: lower end of the interval.
        high: upper end.
        items: number of items.
        clusters: number of source problems that they come from.
        method: ``wilson``, ``bootstrap`` or ``none`` (fewer than two clusters).
    """

    mean: float
    low: float
    high: float
    items: int
    clusters: int
    method: str


def estimate_mean(values: Sequence[float], clusters: Sequence[str] | None = None) -> Estimate:
    """The mean of one figure for each item.

    Items of one source problem depend on each other, so the interval is that of the problems: Wilson's for
    zeros and ones with one item each, otherwise a percentile bootstrap that draws whole clusters. If all are
    0, or all 1, no sample has another mean, so the interval is Wilson's for the number of problems.

    Args:
        values: one for each item.
        clusters: the source problem of each item; by default each is its own.

    Raises:
        ValueError: no values, or lists of unequal length.
    """
    if not values or (clusters is not None and len(clusters) != len(values)):
        raise ValueError(f"{len(values)} values in {len(clusters or ())} clusters")
    mean = math.fsum(values) / len(values)
    count = len(values) if clusters is None else len(set(clusters))
    if all(value in (0, 1) for value in values) and (count == len(values) or mean in (0, 1)):
        low, high = wilson(round(mean * count), count)
        return Estimate(mean, low, high, len(values), count, "wilson")
    if count < 2:
        return Estimate(mean, mean, mean, len(values), count, "none")
    sums, sizes = cluster_sums(values, clusters)
    means = resampled_means(sums[None, :], sizes)[0]
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(mean, float(low), float(high), len(values), count, "bootstrap")


def wilson(passed: int, count: int) -> tuple[float, float]:
    """Wilson's score interval for a proportion. Source: Wilson (1927)."""
    share, square = passed / count, _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    # The ends of "none" and "all" are exact; rounding would leave 0.9999999999999999.
    return 0.0 if passed == 0 else middle - half, 1.0 if passed == count else middle + half


def cluster_sums(
    values: Sequence[float], clusters: Sequence[str] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum and number of the values of each cluster, in the order of their first items; shape (clusters,)."""
    names = list(clusters) if clusters is not None else [str(number) for number in range(len(values))]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    index = np.array([places[name] for name in names])
    sums = np.bincount(index, weights=np.asarray(values, dtype=np.float64), minlength=len(places))
    sizes = np.bincount(index, minlength=len(places)).astype(np.float64)
    return sums.astype(np.float64), sizes


def resampled_means(
    sums: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Means of samples of whole clusters.

    Args:
        sums: shape (figures, clusters).
        sizes: shape (clusters,).

    Returns:
        shape (figures, :data:`RESAMPLES`); each column is one sample of clusters, the same for all figures.
    """
    random = np.random.default_rng(SEED)
    counts = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=RESAMPLES)
    return (sums @ counts.T) / (counts @ sizes)
