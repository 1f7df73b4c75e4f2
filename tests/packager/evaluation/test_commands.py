"""``inspect``, ``verify`` and ``build`` with evaluations and quality rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_evaluations import passes, suite_result

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.evaluation import Contamination
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.cli import package as package_command
from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.packager.evaluation.gate import check_gate
from starfreight.recipe.evaluate import QualityRule

Evaluate = Callable[..., Path]
RULE = QualityRule(suite="fim", figure="exact_match", at_least=0.9)


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(package_command, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_inspect_shows_figures_as_unsigned_and_the_gate(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    assert json.loads(run("inspect", folder, "--json"))["evaluations"] == []
    attach(folder, evaluate(folder, rate=0.5), console)
    attach(folder, evaluate(folder, role="F16"), console)
    set_rules(folder, (RULE,), console)
    text = run("inspect", folder)
    assert "Q4_K_M, fim (2026-01-31, unsigned)\n    exact_match              37.0 % (28.2 to 46.8)\n" in text
    assert text.count("tuned F16, fim") == 1
    assert "Quality gate: FAILED" in text and "at_least 0.9" in text
    data = json.loads(run("inspect", folder, "--json"))
    assert [each["role"] for each in data["evaluations"] if each["quantization"] == "Q8_0"] == ["F16"]
    assert all(each["signed"] is False for each in data["evaluations"])
    assert data["quality"]["result"] == "FAILED"


def test_verify_shows_the_verdict_and_succeeds(folder: Path, evaluate: Evaluate, console: Console) -> None:
    attach(folder, evaluate(folder), console)
    set_rules(folder, (RULE,), console)
    text = run("verify", folder)
    assert "1 evaluation is attached, unsigned." in text and "Quality gate: FAILED" in text
    data = json.loads(run("verify", folder, "--json"))
    assert (data["verified"], data["evaluations"], data["quality"]["result"]) == (True, 1, "FAILED")


def test_nothing_in_an_evaluation_controls_the_terminal(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    result = suite_result("fim", "exact_match", passes(9, 0.5))
    nasty = "\x9b31m\u202e\u2028 name"
    figure = result.figures[0].model_copy(update={"part": "\x1b[2J\r" + nasty, "unit": "\x07"})
    hits = Contamination(data_manifest="sha256:" + "0" * 64, method=nasty, searched=1, found=(nasty,))
    many = tuple(figure.model_copy(update={"name": f"f{number}"}) for number in range(10_000))
    result = result.model_copy(update={"figures": many, "contamination": hits})
    attach(folder, evaluate(folder, results=[(result, {})]), console)
    text = run("inspect", folder)
    assert not [character for character in text if character != "\n" and not character.isprintable()]
    assert "9,988 more with --json" in text and len(text) < 5000


def test_a_package_built_with_rules_is_refused_until_it_is_evaluated(
    make_run: Callable[..., Path], tmp_path: Path, console: Console
) -> None:
    rules = [{"suite": "fim", "figure": "exact_match", "at_least": 0.1}]
    folder = make_run(tmp_path, quality=rules)
    built = build_package(folder, tmp_path / "with", None, console, skip_loss_check=True)
    with pytest.raises(GateError, match="was not measured for its quality rules: Q8_0: fim/exact_match"):
        check_gate(tmp_path / "with")
    # The rules are judged, not built in: all else is the package without them, which is found again.
    record = folder / "run.json"
    data = json.loads(record.read_bytes())
    del data["recipe"]["package"]["quality"]
    record.write_text(json.dumps(data))
    plain = build_package(folder, tmp_path / "without", None, console, skip_loss_check=True)
    assert built.extends(plain)
    assert build_package(folder, tmp_path / "with", None, console, skip_loss_check=True) == Package.load(
        tmp_path / "with"
    ) == built  # fmt: skip
