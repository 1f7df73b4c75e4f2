"""The mean of a value over all items, as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from starfreight.evaluation import Figure
from starfreight.statistics import estimate_mean


def mean_figure(
    name: str, values: Mapping[str, float], clusters: Mapping[str, str], part: str = ""
) -> Figure | None:
    """The mean with its interval.

    Args:
        name: of the figure.
        values: fractions by item.
        clusters: source problem by item.
        part: of the suite.

    Returns:
        ``None`` without values.
    """
    if not values:
        return None
    found = estimate_mean(list(values.values()), [clusters[item] for item in values])
    return Figure(
        name=name,
        part=part,
        value=found.mean,
        low=found.low,
        high=found.high,
        items=found.items,
        problems=found.clusters,
        method=cast(Any, found.method),
        unit="fraction",
    )
