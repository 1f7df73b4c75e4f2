"""Estimates against values from the literature and from simulation."""

from __future__ import annotations

import itertools
import random

import pytest

from starfreight.statistics import compare_pairs, estimate_mean, pass_at_k
from starfreight.statistics.estimate import wilson
from starfreight.statistics.paired import mcnemar


@pytest.mark.parametrize(
    ("completions", "passed", "k"), [(5, 0, 1), (5, 2, 1), (5, 2, 3), (6, 6, 2), (7, 5, 3)]
)
def test_pass_at_k_is_the_share_of_samples_with_a_right_one(completions: int, passed: int, k: int) -> None:
    samples = list(itertools.combinations([True] * passed + [False] * (completions - passed), k))
    assert pass_at_k(completions, passed, k) == pytest.approx(sum(map(any, samples)) / len(samples))


def test_pass_at_k_needs_k_completions() -> None:
    with pytest.raises(ValueError, match="pass@3"):
        pass_at_k(2, 1, 3)


@pytest.mark.parametrize(
    ("passed", "count", "low", "high"),
    # Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(passed: int, count: int, low: float, high: float) -> None:
    assert wilson(passed, count) == pytest.approx((low, high), abs=5e-5)


def test_all_right_is_no_certainty() -> None:
    estimate = estimate_mean([1.0] * 164)
    assert (estimate.mean, estimate.high, estimate.method) == (1.0, 1.0, "wilson")
    assert estimate.low == pytest.approx(0.9771, abs=1e-3)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_no_certainty_either_where_problems_have_several_items(value: float) -> None:
    estimate = estimate_mean([value] * 40, [f"file {number // 4}" for number in range(40)])
    alone = estimate_mean([value] * 10)
    assert (estimate.low, estimate.high, estimate.items, estimate.clusters) == (alone.low, alone.high, 40, 10)
    assert estimate.high - estimate.low > 0.2


@pytest.mark.parametrize(
    ("better", "worse", "p"), [(0, 0, 1.0), (1, 0, 1.0), (6, 0, 0.03125), (5, 1, 0.21875), (1, 5, 0.21875)]
)
def test_mcnemar_is_a_binomial_test(better: int, worse: int, p: float) -> None:
    assert mcnemar(better, worse) == pytest.approx(p)


def test_items_of_one_problem_are_one_observation() -> None:
    values = [float(problem % 2) for problem in range(20) for _ in range(50)]
    clusters = [str(problem) for problem in range(20) for _ in range(50)]
    clustered, naive = estimate_mean(values, clusters), estimate_mean(values)
    assert clustered.high - clustered.low > 4 * (naive.high - naive.low)
    assert (clustered.clusters, clustered.items) == (20, 1000)


def test_the_interval_holds_the_truth_as_often_as_it_claims() -> None:
    source, hits = random.Random(7), 0
    for _ in range(30):
        values, clusters = [], []
        for problem in range(60):
            chance = source.random()
            for _ in range(5):
                values.append(float(source.random() < chance))
                clusters.append(str(problem))
        estimate = estimate_mean(values, clusters)
        hits += estimate.low <= 0.5 <= estimate.high
    assert 25 <= hits <= 30


def test_a_pair_sees_what_two_intervals_hide() -> None:
    source = random.Random(3)
    hardness = {str(number): source.random() for number in range(300)}
    first = hardness
    second = {item: value + 0.02 + 0.01 * source.random() for item, value in hardness.items()}
    difference = compare_pairs(first, second)
    assert difference is not None
    assert difference.significant
    assert difference.mean == pytest.approx(0.025, abs=0.002)
    apart = [estimate_mean(list(each.values())) for each in (first, second)]
    assert apart[0].high > apart[1].low


def test_equal_models_do_not_differ() -> None:
    same = {str(number): float(number % 3 == 0) for number in range(164)}
    difference = compare_pairs(same, same)
    assert difference is not None
    assert (difference.mean, difference.p, difference.significant) == (0.0, 1.0, False)


def test_one_shared_problem_is_no_comparison() -> None:
    assert compare_pairs({"a": 1.0, "b": 0.0}, {"a": 0.0}) is None


@pytest.mark.parametrize(("count", "significant"), [(3, False), (5, False), (6, True), (20, True)])
def test_few_problems_show_nothing_even_if_all_agree(count: int, significant: bool) -> None:
    first = {str(number): 1.0 + number for number in range(count)}
    second = {name: value - 0.5 - 0.01 * value for name, value in first.items()}
    difference = compare_pairs(first, second)
    assert difference is not None and difference.method == "bootstrap"
    assert difference.p >= 2.0 ** (1 - count) and difference.significant == significant
