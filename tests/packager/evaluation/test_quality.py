"""The quality gate: each kind of rule, met, missed and not measured; its verdict in the package."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_evaluations import suite_result

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_evaluations import TEST_RESULT, evidence_kind
from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.packager.evaluation.gate import check_gate, check_package
from starfreight.packager.evaluation.recorded_verdict import recorded_rules, recorded_verdict
from starfreight.packager.layout.write_package import write_package
from starfreight.quantization import Quantization
from starfreight.recipe.evaluate import QualityRule

Evaluate = Callable[..., Path]
MODEL = {f"task/{number}": float(number % 2) for number in range(60)}


def rule(**bound: Any) -> QualityRule:
    return QualityRule(**{"suite": "fim", "figure": "exact_match"} | bound)


def worse(by: int) -> dict[str, float]:
    """The values of ``MODEL``, with some items more or fewer."""
    passed = [item for item, value in MODEL.items() if value]
    failed = [item for item, value in MODEL.items() if not value]
    changed = dict.fromkeys(failed[: max(by, 0)], 1.0) | dict.fromkeys(passed[: max(-by, 0)], 0.0)
    return MODEL | changed


@pytest.mark.parametrize(
    ("bound", "result", "reason"),
    [
        ({"at_least": 0.2}, "PASSED", r"0\.5 \(0\.3\d* to 0\.6\d*\)"),
        ({"at_least": 0.45}, "WARNED", "the interval reaches beyond the bound"),
        ({"at_least": 0.5}, "WARNED", "the interval"),
        ({"at_least": 0.51}, "FAILED", r"0\.5 \("),
        ({"at_most": 0.9}, "PASSED", ""),
        ({"at_most": 0.55}, "WARNED", ""),
        ({"at_most": 0.49}, "FAILED", ""),
        ({"figure": "exact_match/Java", "at_least": 0.0}, "PASSED", ""),
        (
            {"figure": "exact_match/Go", "at_least": 0.0},
            "FAILED",
            "has no figure exact_match/Go, but exact_match",
        ),
        ({"suite": "humaneval", "at_least": 0.0}, "FAILED", "not measured: humaneval was not run"),
        ({"not_below": "F16"}, "FAILED", "was not measured on the reference model F16"),
    ],
    ids=str,
)
def test_a_bound(
    bound: dict[str, Any], result: str, reason: str, folder: Path, evaluate: Evaluate, console: Console
) -> None:
    import re

    attach(folder, evaluate(folder, suites={"fim": MODEL}), console)
    verdict = check_package(folder, rules=(rule(**bound),))
    assert verdict is not None and verdict.result == result
    assert re.search(reason, verdict.outcomes[0].reason)


@pytest.mark.parametrize(
    ("more", "within", "result"),
    [
        (0, 0.0, "PASSED"),
        (-9, 0.0, "PASSED"),
        (3, 0.0, "WARNED"),  # McNemar's exact one-sided p of 3 to 0 is 1/8.
        (4, 0.0, "WARNED"),  # 1/16.
        (5, 0.0, "FAILED"),  # 1/32.
        (5, 0.09, "PASSED"),
        (5, 0.08, "FAILED"),
        (1, 0.01, "FAILED"),
    ],
)
@pytest.mark.parametrize("role", ["F16", "base"])
def test_not_below_is_a_paired_test_and_within_a_margin(
    role: str, more: int, within: float, result: str, folder: Path, evaluate: Evaluate, console: Console
) -> None:
    attach(folder, evaluate(folder, suites={"fim": MODEL}), console)
    attach(folder, evaluate(folder, role=role, suites={"fim": worse(more)}), console)
    verdict = check_package(folder, rules=(rule(not_below=role, within=within),))
    assert verdict is not None
    assert verdict.result == result, verdict.as_lines()


def test_not_below_of_a_figure_that_should_be_low(folder: Path, evaluate: Evaluate, console: Console) -> None:
    losses = {f"file/{number}": 1.0 + number / 50 for number in range(40)}
    for role, added in (("model", 0.0), ("F16", 0.01), ("base", -0.01)):
        values = {item: value + added for item, value in losses.items()}
        result = suite_result("fim", "loss", values, unit="nats", better="lower")
        attach(folder, evaluate(folder, role=role, results=[(result, values)]), console)
    for role, expected in (("F16", "PASSED"), ("base", "FAILED")):
        verdict = check_package(folder, rules=(rule(figure="loss", not_below=role),))
        assert verdict is not None and verdict.result == expected


def test_the_packages_own_file_in_16_bits_is_the_reference(
    tmp_path: Path, make_contents: Callable[..., Any], evaluate: Evaluate, console: Console
) -> None:
    contents = make_contents({Quantization.Q8_0: b"eight", Quantization.F16: b"sixteen"})
    write_package(tmp_path / "own", contents, console)
    attach(tmp_path / "own", evaluate(tmp_path / "own", "Q8_0", suites={"fim": MODEL}), console)
    own = Package.load(tmp_path / "own").variants[1].gguf.digest
    made = evaluate(tmp_path / "own", role="F16", gguf=own, suites={"fim": worse(5)})
    attach(tmp_path / "own", made, console)
    verdict = check_package(tmp_path / "own", rules=(rule(not_below="F16"),))
    assert verdict is not None
    assert [each.result for each in verdict.outcomes] == ["FAILED", "PASSED"]
    assert all(each.measured for each in verdict.outcomes)


def test_models_are_compared_on_the_same_problems_only(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    attach(folder, evaluate(folder, suites={"fim": MODEL}), console)
    other = suite_result("fim", "exact_match", MODEL, problems="other files")
    attach(folder, evaluate(folder, role="F16", results=[(other, MODEL)]), console)
    verdict = check_package(folder, rules=(rule(not_below="F16"),))
    assert verdict is not None and not verdict.outcomes[0].measured
    assert "on other problems" in verdict.outcomes[0].reason


def test_every_measured_variant_has_to_pass_and_the_default_one_be_measured(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    set_rules(folder, (rule(at_least=0.4),), console)
    attach(folder, evaluate(folder, "Q8_0", rate=0.1), console)
    with pytest.raises(GateError) as caught:
        check_gate(folder)
    assert "Q4_K_M: fim/exact_match at_least 0.4: not measured" in caught.value.what
    assert "Q8_0: fim/exact_match at_least 0.4: 0." in caught.value.what
    attach(folder, evaluate(folder, rate=0.9), console)
    with pytest.raises(GateError, match="misses its quality rules: Q8_0"):
        check_gate(folder)


def test_the_variant_for_the_plain_tag_has_to_be_measured(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    set_rules(folder, (rule(at_least=0.1),), console)
    attach(folder, evaluate(folder), console)
    assert check_gate(folder) is not None
    with pytest.raises(GateError, match="was not measured for its quality rules: Q8_0"):
        check_gate(folder, default=Quantization.Q8_0)


def verdicts(folder: Path) -> list[dict[str, Any]]:
    package, layout = Package.load(folder), ImageLayout(folder)
    subject = package.default_variant.manifests[0].manifest.digest
    found = [evidence_kind(layout, each) for each in package.attachments if each.subject == subject]
    return [json.loads(layout.read(each[1])) for each in found if each and each[0] == TEST_RESULT]


def test_the_verdict_is_a_test_result_that_names_rules_and_evidence(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    rules = (rule(at_least=0.1), rule(at_least=0.45), rule(at_least=0.9))
    attach(folder, evaluate(folder, suites={"fim": MODEL}), console)
    set_rules(folder, rules, console)
    (statement,) = verdicts(folder)
    gguf = Package.load(folder).default_variant.gguf.digest
    assert statement["subject"][0]["digest"] == {"sha256": gguf.removeprefix("sha256:")}
    predicate = statement["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["passedTests"] == ["Q4_K_M: fim/exact_match at_least 0.1"]
    assert predicate["warnedTests"] == ["Q4_K_M: fim/exact_match at_least 0.45"]
    assert predicate["failedTests"] == ["Q4_K_M: fim/exact_match at_least 0.9"]
    named, evidence = predicate["configuration"]
    assert [each["at_least"] for each in json.loads(base64.b64decode(named["content"]))] == [0.1, 0.45, 0.9]
    assert evidence["name"] == "evaluation"


def test_the_rules_set_last_count_and_earlier_ones_may_come_back(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    attach(folder, evaluate(folder, suites={"fim": MODEL}), console)
    low, high = (rule(at_least=0.1),), (rule(at_least=0.9),)
    for rules, passes_gate in ((low, True), (high, False), (low, True), (high, False)):
        set_rules(folder, rules, console)
        before = Package.load(folder)
        set_rules(folder, rules, console)
        assert Package.load(folder) == before
        assert recorded_rules(folder, before) == rules
        if passes_gate:
            check_gate(folder)
        else:
            with pytest.raises(GateError, match="quality rules"):
                check_gate(folder)
    assert set_rules(folder, (), console) is None and check_gate(folder) is None
    assert set_rules(folder, (), console) is None


def test_a_package_without_rules_gets_no_verdict(folder: Path, evaluate: Evaluate, console: Console) -> None:
    assert set_rules(folder, (), console) is None
    attach(folder, evaluate(folder), console)
    assert verdicts(folder) == []


def test_an_evaluation_brings_the_verdict_up_to_date(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    set_rules(folder, (rule(at_least=0.2),), console)
    package = Package.load(folder)
    recorded = recorded_verdict(folder, package, package.default_variant)
    assert recorded is not None and recorded.result == "FAILED"
    package = attach(folder, evaluate(folder, rate=0.9), console)
    recorded = recorded_verdict(folder, package, package.default_variant)
    assert recorded is not None and recorded.result == "PASSED"
