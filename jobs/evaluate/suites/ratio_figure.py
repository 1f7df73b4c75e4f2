"""Figures that are a sum over a size, such as nats per token, with intervals over whole files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from starfreight.evaluation import Figure
from starfreight.statistics.estimate import resampled_means

Numbers = npt.NDArray[np.float64]


def ratio_figure(
    name: str,
    sums: Numbers,
    sizes: Numbers,
    clusters: Sequence[str],
    *,
    convert: Callable[[Numbers], Numbers] = np.asarray,
    part: str = "",
    unit: str = "",
    better: Literal["higher", "lower"] = "lower",
) -> Figure:
    """The sum of all items over the sum of their sizes, with a bootstrap interval that draws whole clusters.

    Args:
        name: of the figure.
        sums: one for each item.
        sizes: one for each item.
        clusters: the source problem of each item.
        convert: applied to the ratio, e.g. ``np.exp``; increasing.
        part: of the suite.
        unit: of the figure.
        better: the better direction.
    """
    names = {each: place for place, each in enumerate(dict.fromkeys(clusters))}
    index = np.array([names[each] for each in clusters])
    value = float(convert(np.asarray(sums.sum() / sizes.sum())))
    low = high = value
    method: Literal["bootstrap", "none"] = "none"
    if len(names) > 1:
        method = "bootstrap"
        by_cluster = [
            np.bincount(index, weights=each, minlength=len(names)).astype(np.float64)
            for each in (sums, sizes)
        ]
        ratios = resampled_means(by_cluster[0][None, :], by_cluster[1])[0]
        low, high = (float(end) for end in convert(np.quantile(ratios, [0.025, 0.975])))
    return Figure(
        name=name,
        part=part,
        value=value,
        low=low,
        high=high,
        items=len(sums),
        problems=len(names),
        method=method,
        unit=unit,
        better=better,
    )
