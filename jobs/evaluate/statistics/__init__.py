"""Figures with their uncertainty: the problems are a sample.

Sources: Miller, "Adding Error Bars to Evals" (2024); Chen et al., "Evaluating Large Language Models Trained
on Code" (2021), for pass@k.
"""

from starfreight.jobs.evaluate.statistics.estimate import Estimate, estimate_mean
from starfreight.jobs.evaluate.statistics.paired import Difference, compare_pairs
from starfreight.jobs.evaluate.statistics.pass_at_k import pass_at_k

__all__ = ["Difference", "Estimate", "compare_pairs", "estimate_mean", "pass_at_k"]
