"""Figures with their uncertainty: the problems are a sample.

Sources: Miller, "Adding Error Bars to Evals" (2024); Chen et al., "Evaluating Large Language Models Trained
on Code" (2021), for pass@k.
"""

from starfreight.statistics.estimate import Estimate, estimate_mean
from starfreight.statistics.paired import Difference, compare_pairs
from starfreight.statistics.pass_at_k import pass_at_k

__all__ = ["Difference", "Estimate", "compare_pairs", "estimate_mean", "pass_at_k"]
