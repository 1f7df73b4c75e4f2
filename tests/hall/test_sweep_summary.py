"""A sweep names its variants while it runs, and ends with their comparison and the next command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from starfreight.cli import main
from starfreight.commands.pipeline import Shipped
from starfreight.commands.sweep_summary import sweep_summary
from starfreight.console import Console
from starfreight.package import Package
from starfreight.recipe.evaluate import Evaluate
from starfreight.recipe.models import Publish
from starfreight.run import Run

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ["golden-fim-de8303b786", "golden-sweep-rank-4-44cf01916d"]


@pytest.fixture
def shipped() -> list[Shipped]:
    """Two finished runs with their packages."""
    found = []
    for name in NAMES:
        run, package = GOLDEN / "finished-runs" / name, GOLDEN / "finished-packages" / name
        found.append(Shipped(run, Run.load(run), package, Package.load(package)))
    return found


def test_variants_are_compared_and_the_next_command_is_named(shipped: list[Shipped]) -> None:
    recipe = shipped[0].run.recipe
    data, text = sweep_summary(shipped, recipe, Path("my recipe.yaml"), Console(quiet=True), chosen=False)
    assert all(name in text for name in NAMES)
    assert len(data["runs"]) == 2
    assert text.endswith(f"Next: {data['next']}")
    packages = " ".join(str(each.package_folder) for each in shipped)
    assert data["next"] == f"starfreight package compare {packages} --html compared.html"


@pytest.mark.parametrize("publishes", [True, False])
def test_an_evaluated_sweep_goes_on_by_choosing_the_best(publishes: bool, shipped: list[Shipped]) -> None:
    publish = Publish(reference="localhost:1/acme/coder:1") if publishes else None
    recipe = shipped[0].run.recipe.model_copy(
        update={"evaluate": Evaluate(suites={"fim": {}}), "publish": publish}
    )
    data, _ = sweep_summary(shipped, recipe, Path("my recipe.yaml"), Console(quiet=True), chosen=False)
    assert data["next"] == "starfreight run 'my recipe.yaml' --choose best" + " --publish" * publishes
    data, text = sweep_summary(shipped, recipe, Path("recipe.yaml"), Console(quiet=True), chosen=True)
    assert "next" not in data and "Next:" not in text


def test_variants_that_cannot_be_compared_lose_no_result(
    shipped: list[Shipped], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = [replace(each, run_folder=tmp_path / "gone") for each in shipped]
    data, text = sweep_summary(gone, shipped[0].run.recipe, Path("r.yaml"), Console(), chosen=False)
    assert "cannot be compared" in capsys.readouterr().err
    assert text == f"Next: {data['next']}"


@pytest.mark.nightly
def test_a_sweep_in_directories_of_its_own_is_evaluated_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipe.yaml"
    sample = Path(main.__code__.co_filename).parent / "commands" / "sample" / "quickstart.yaml"
    text = sample.read_text()
    for given, small in (
        ("steps: 250", "steps: 4"), ("evaluation_blocks: 128", "evaluation_blocks: 4"),
        ("evaluation_completions: 100", "evaluation_completions: 2"), ("{limit: 20}", "{limit: 2}"),
        ("{limit: 8}", "{limit: 2}"),
    ):  # fmt: skip
        assert given in text
        text = text.replace(given, small)
    recipe.write_text(text + "sweep: {training.learning_rate: [5e-3, 1e-3]}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(recipe), "--runs", "one/place", "--packages", "another", "--json"]) == 0
    output = capsys.readouterr()
    assert "quickstart-learning_rate-0.001 (2 of 2): Training" in output.err
    found = json.loads(output.out)
    assert len(found["variants"]) == 2 and len(found["comparison"]["runs"]) == 2
    assert found["comparison"]["next"].endswith("--choose best")
