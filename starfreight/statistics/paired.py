"""Two models on the same problems: the difference, and the chance of one as large if they were equal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from starfreight.statistics.estimate import cluster_sums, resampled_means

LEVEL = 0.05
"""A difference with a larger p-value is not significant."""


@dataclass(frozen=True)
class Difference:
    """Second model minus first, over the items that both have.

    Attributes:
        mean: mean difference.
        low: lower end of its 95 % interval, by a paired bootstrap of clusters.
        high: upper end.
        p: two-sided p-value: McNemar's exact test for pass or fail of independent problems, otherwise from
            the bootstrap, and at least that of a sign test in which all problems agree.
        items: number of shared items.
        method: ``mcnemar`` or ``bootstrap``.
    """

    mean: float
    low: float
    high: float
    p: float
    items: int
    method: str

    @property
    def significant(self) -> bool:
        """True if the models differ at the 5 % level."""
        return self.p < LEVEL


def compare_pairs(
    first: Mapping[str, float], second: Mapping[str, float], clusters: Mapping[str, str] | None = None
) -> Difference | None:
    """Compares two models item by item.

    Args:
        first: a figure for each item, by the item's name.
        second: of the other model.
        clusters: the source problem of each item; by default each is its own.

    Returns:
        ``None`` if they share fewer than two problems.
    """
    shared = [item for item in first if item in second]
    names = [item if clusters is None else clusters[item] for item in shared]
    count = len(set(names))
    if count < 2:
        return None
    changes = [second[item] - first[item] for item in shared]
    sums, sizes = cluster_sums(changes, names)
    means = resampled_means(sums[None, :], sizes)[0]
    low, high = (float(end) for end in np.quantile(means, [0.025, 0.975]))
    mean = math.fsum(changes) / len(changes)
    single = count == len(shared)
    if single and all(value in (0, 1) for item in shared for value in (first[item], second[item])):
        p = mcnemar(sum(change > 0 for change in changes), sum(change < 0 for change in changes))
        return Difference(mean, low, high, p, len(shared), "mcnemar")
    # With one added to both counts, so that no finite sample gives zero.
    share = (min(int((means <= 0).sum()), int((means >= 0).sum())) + 1) / (len(means) + 1)
    # A bootstrap of few problems is too sure. If all of n differ in one direction, chance does as much with a
    # probability of 2 / 2^n: no test of n problems can find less.
    p = min(1.0, max(2 * share, 2.0 ** (1 - count)))
    return Difference(mean, low, high, p, len(shared), "bootstrap")


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p-value of McNemar's test: a binomial test of the problems that changed.

    Args:
        better: problems that only the second model solves.
        worse: problems that only the first one solves.
    """
    changed = better + worse
    tail: int = sum(math.comb(changed, count) for count in range(min(better, worse) + 1))
    return min(1.0, tail / 2 ** (changed - 1)) if changed else 1.0
