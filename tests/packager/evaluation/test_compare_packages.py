"""``starfreight package compare`` finds the evaluations inside packages and those beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_evaluations import passes

from starfreight.cli import main
from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_evaluations import read_evaluations
from starfreight.packager.evaluation.attach import attach

Evaluate = Callable[..., Path]
Compare = Callable[..., dict[str, Any]]


@pytest.fixture
def compared(capsys: pytest.CaptureFixture[str]) -> Compare:
    """Runs the command, which has to succeed, and gives its JSON."""

    def run(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["package", "compare", *map(str, arguments), "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


def test_a_package_alone_has_its_quantizations_and_baselines_compared(
    folder: Path,
    evaluate: Evaluate,
    console: Console,
    compared: Compare,
    tmp_path: Path,
) -> None:
    for quantization, role, rate in (
        ("Q4_K_M", "model", 0.5),
        ("Q8_0", "model", 0.6),
        ("Q4_K_M", "base", 0.1),
    ):
        suites = {"fim": passes(60, rate)}
        attach(folder, evaluate(folder, quantization, role=role, suites=suites), console)
    beside = compared(folder)
    assert [len(each["evaluations"]) for each in beside["models"]] == [1, 1, 1]
    shutil.rmtree(tmp_path / "runs")
    found = compared(folder)
    assert found["figures"] == beside["figures"], "the same evaluations, once each"
    assert [each["quantization"] for each in found["models"]] == ["Q4_K_M", "Q8_0", "Q4_K_M"]
    assert found["models"][2]["name"].endswith("-base")
    sizes = [each.gguf.size for each in Package.load(folder).variants]
    assert [each["size"] for each in found["models"][:2]] == sizes
    verdict = next(each["comparison"] for each in found["figures"] if not each["part"])
    assert verdict["best"] == 2 and {each["model"] for each in verdict["tests"]} == {1, 3}
    assert all(each["p"] is not None for each in verdict["tests"]), "the scores are inside, too"
    assert verdict["tests"][1]["significant"]


def test_an_evaluation_beside_a_package_counts_before_it_is_attached(
    folder: Path, evaluate: Evaluate, compared: Compare
) -> None:
    evaluate(folder, "Q8_0", suites={"fim": passes(30, 0.5)})
    evaluate(folder, "Q8_0", suites={"fim": passes(30, 0.5)}, template=None)
    found = compared(folder)
    assert [len(each["evaluations"]) for each in found["models"]] == [0, 1, 1]
    assert any("[2] and [3] are one file with different" in each for each in found["notes"])


def test_a_damaged_statement_is_left_out_by_name(
    folder: Path,
    evaluate: Evaluate,
    console: Console,
    compared: Compare,
    tmp_path: Path,
) -> None:
    for quantization in ("Q4_K_M", "Q8_0"):
        attach(folder, evaluate(folder, quantization, suites={"fim": passes(30, 0.5)}), console)
    shutil.rmtree(tmp_path / "runs")
    statement = read_evaluations(folder).evaluations[0].statement
    path = ImageLayout(folder).blob_path(statement.digest)
    path.write_bytes(b"x" * statement.size)
    found = compared(folder)
    assert any(statement.digest in each["reason"] for each in found["left_out"])
    assert [len(each["evaluations"]) for each in found["models"]] == [0, 1]
