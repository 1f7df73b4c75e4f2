"""The chance that one of k completions is right."""

from __future__ import annotations

import math


def pass_at_k(completions: int, passed: int, k: int) -> float:
    """Unbiased estimate for one problem: 1 - C(n-c, k) / C(n, k).

    Args:
        completions: n, at least ``k``.
        passed: c, the number of right ones.
        k: size of the sample.

    Source: Chen et al. (2021), equation 1.
    """
    if not 0 <= passed <= completions or not 1 <= k <= completions:
        raise ValueError(f"pass@{k} of {passed} in {completions}")
    return 1 - math.comb(completions - passed, k) / math.comb(completions, k)
