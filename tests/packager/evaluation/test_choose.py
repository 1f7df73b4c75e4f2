"""Choosing among the evaluated files of one package or of a sweep."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from small_evaluations import passes, suite_result

from starfreight.choose_model import package_candidates
from starfreight.commands.choose_release import choose_release
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.quantization import Quantization
from starfreight.recipe.evaluate import QualityRule

Evaluate = Callable[..., Path]
ITEMS = {f"task/{number}": float(number < 50) for number in range(100)}


def better(by: int) -> dict[str, float]:
    return {item: float(number < 50 + by) for number, item in enumerate(ITEMS)}


@pytest.mark.parametrize(("gain", "chosen"), [(5, Quantization.Q4_K_M), (40, Quantization.Q8_0)])
def test_a_larger_quantization_is_chosen_if_it_is_better_by_more_than_chance(
    gain: int, chosen: Quantization, folder: Path, evaluate: Evaluate, console: Console
) -> None:
    attach(folder, evaluate(folder, suites={"fim": ITEMS}), console)
    attach(folder, evaluate(folder, "Q8_0", suites={"fim": better(gain)}), console)
    # A reference model is not for sale.
    attach(folder, evaluate(folder, role="F16", suites={"fim": better(50)}), console)
    found = choose_release([("tiny", folder)])
    assert (found.package, found.quantization) == (folder, chosen)
    assert found.as_dict()["quantization"] == str(chosen) and str(chosen) in found.as_text()


def test_of_a_sweep_one_file_is_chosen(
    folder: Path, evaluate: Evaluate, console: Console, tmp_path: Path
) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    attach(folder, evaluate(folder, suites={"fim": ITEMS}), console)
    attach(other, evaluate(other, suites={"fim": better(40)}), console)
    found = choose_release([("rank-8", folder), ("rank-16", other)])
    assert (found.package, found.choice.name) == (other, "rank-16 Q4_K_M")


def test_a_variant_that_the_gate_refuses_is_left_out_unless_all_are(
    folder: Path, evaluate: Evaluate, console: Console, tmp_path: Path
) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    attach(folder, evaluate(folder, suites={"fim": ITEMS}), console)
    attach(other, evaluate(other, suites={"fim": better(40)}), console)
    rule = QualityRule(suite="fim", figure="exact_match", at_most=0.6)
    set_rules(folder, (rule,), console)
    set_rules(other, (rule,), console)
    found = choose_release([("rank-8", folder), ("rank-16", other)])
    assert (found.package, found.left_out) == (folder, ("rank-16",))
    assert "rank-16" in found.as_text()
    set_rules(folder, (rule.model_copy(update={"at_most": 0.1}),), console)
    found = choose_release([("rank-8", folder), ("rank-16", other)])
    assert (found.package, found.left_out) == (other, ())


def test_results_of_several_evaluations_are_one_candidate(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    attach(folder, evaluate(folder, suites={"fim": ITEMS}), console)
    values = passes(20, 0.5)
    mbpp = suite_result("mbpp", "pass@1", values)
    attach(folder, evaluate(folder, results=[(mbpp, values)]), console)
    (candidate,) = package_candidates(folder)
    assert {each.suite for each in candidate.evaluation.results} == {"fim", "mbpp"}
    assert choose_release([("tiny", folder)], "mbpp/pass@1").choice.by == "mbpp/pass@1"


def test_without_an_evaluation_nothing_is_chosen(folder: Path) -> None:
    with pytest.raises(InputError, match="No package is evaluated"):
        choose_release([("tiny", folder)])
