"""The statistics that tell the trained model from another one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from starfreight.packager.build.loss_bounds import bounds_of, compare
from starfreight.quantization import Quantization

RANDOM = np.random.default_rng(4)
BASE = RANDOM.gamma(2, 1.5, 500)
EFFECT = RANDOM.normal(-0.05, 0.2, 500)
"""A weak adapter: less than a twentieth of a nat on average, either way on single tokens."""
BOUNDS = bounds_of(Quantization.Q4_K_M, other_base=False)


def problem(measured: np.ndarray) -> str | None:
    return compare(measured, BASE + EFFECT, BASE).problem(BOUNDS)


@pytest.mark.parametrize("quantization", list(Quantization))
def test_every_quantization_has_bounds(quantization: Quantization) -> None:
    merged, other = (bounds_of(quantization, other_base=flag) for flag in (False, True))
    assert 0 < merged.difference < other.difference < 1.5
    assert 0 < merged.spread < other.spread <= 2.5


def test_the_figures_are_those_of_their_definitions() -> None:
    found = compare([1.5, 2.0, 3.0], [1.0, 2.0, 4.0], [2.0, 2.0, 6.0])
    assert found.difference == pytest.approx(-1 / 6)
    assert found.spread == pytest.approx(math.sqrt(1.25 / 3))
    assert found.share == pytest.approx((0.5 * 1 + 3 * 2) / 5)


def test_rounding_of_single_tokens_passes() -> None:
    assert problem(BASE + EFFECT + RANDOM.normal(0, 0.3, 500)) is None


@pytest.mark.parametrize("scale", [0, 0.5, 2, -1])
def test_a_weak_adapter_that_is_missing_or_scaled_is_found_by_its_share(scale: float) -> None:
    measured = BASE + scale * EFFECT + RANDOM.normal(0, 0.05, 500)
    assert abs(compare(measured, BASE + EFFECT, BASE).difference) < BOUNDS.difference
    assert "of the adapter's effect" in (problem(measured) or "")


MANY_BASE, MANY_EFFECT = np.tile(BASE, 8), np.tile(EFFECT, 8)
"""As many tokens as a small model's sample."""


def rounded(share: float, noise: float, quantization: Quantization, size: float = 1) -> str | None:
    """Judge a share of the adapter's effect under noise, which is given as a multiple of the effect."""
    effect = size * MANY_EFFECT
    scale = noise * math.sqrt(float(np.mean(effect**2)))
    measured = MANY_BASE + share * effect + np.random.default_rng(7).normal(0, scale, 4000)
    found = compare(measured, MANY_BASE + effect, MANY_BASE)
    assert found.share == pytest.approx(share, abs=0.04) and found.noise == pytest.approx(noise, abs=0.03)
    return found.problem(bounds_of(quantization, other_base=False))


@pytest.mark.parametrize(
    ("quantization", "share", "noise", "size"),
    [("Q5_K_M", 0.86, 0.28, 1), ("Q4_K_M", 0.71, 0.48, 1), ("F32", 0.52, 0.89, 0.1)],
)
def test_rounding_that_undoes_part_of_a_weak_adapter_passes(
    quantization: str, share: float, noise: float, size: float
) -> None:
    """Measured: 40 steps of QLoRA, and 10 steps of LoRA at a very low learning rate."""
    assert rounded(share, noise, Quantization(quantization), size) is None


@pytest.mark.parametrize(("share", "noise"), [(0.5, 0.28), (0.2, 0.75), (1.9, 0.75)])
def test_another_adapter_is_found_under_such_rounding(share: float, noise: float) -> None:
    assert "of the adapter's effect" in (rounded(share, noise, Quantization.Q4_K_M) or "")


def test_an_adapter_that_makes_up_for_nf4_passes() -> None:
    """The base's own weights undo the rounding to NF4, which the adapter has learned to make up for."""
    rounding = RANDOM.normal(0, 0.1, 500)
    effect = RANDOM.normal(-0.05, 0.25, 500) - rounding
    nf4_base = BASE + rounding
    found = compare(BASE + effect, nf4_base + effect, nf4_base)
    assert found.share is not None and found.share > 1.1
    assert found.problem(bounds_of(Quantization.F32, other_base=True)) is None
    assert "of the adapter's effect" in (
        compare(BASE, nf4_base + effect, nf4_base).problem(bounds_of(Quantization.F32, other_base=True)) or ""
    )


def test_another_model_that_is_as_good_is_found_by_its_spread() -> None:
    assert "single tokens" in (problem(RANDOM.permutation(BASE + EFFECT)) or "")


def test_a_worse_and_a_better_file_are_found() -> None:
    for difference in (0.3, -0.3):
        assert f"differs by {difference:+.4f}" in (problem(BASE + EFFECT + difference) or "")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_found(value: float) -> None:
    assert "not finite" in (problem(np.full(500, value)) or "")


def test_figures_too_large_to_compute_with_are_within_no_bound() -> None:
    huge = np.full(500, 1e200)
    with np.errstate(all="ignore"):
        assert compare(huge, huge - 1, -huge).problem(BOUNDS) is not None


def test_an_adapter_without_effect_has_no_share() -> None:
    assert compare(BASE, BASE, BASE).share is None
    assert compare(BASE, BASE, BASE).problem(BOUNDS) is None
