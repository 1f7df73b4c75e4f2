"""A package repeated from its raw data: prepare, train and press, each compared with the recorded step.

The quickstart's own package takes as long again as the quickstart:
``starfreight package rebuild quickstart/packages/* --train``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

RECIPE = """version: 1
name: tiny
base: {model: ./models/starter, license: PSF-2.0}
data:
  - {source: ./src, license: MIT, held_out: 20%, filters: {near_duplicates: false}}
training:
  {rank: 4, alpha: 8, dropout: 0.1, sequence_length: 64, batch_size: 2, gradient_accumulation: 1, steps: 2,
   checkpoint_every: 2, evaluate_every: 2, evaluation_blocks: 1, evaluation_completions: 1}
package:
  {quantizations: [Q8_0, Q4_K_M], imatrix: {blocks: 1}, merge: {base: nf4_roundtrip}}
run: {allow_little_data: true, threads: 1}
"""
MODULE = '''"""Module {0}."""


def total_{0}(items: list[int], factor: int = {0}) -> int:
    """Add items, each times a factor."""
    result = 0
    for item in items:
        result += item * factor
    return result
'''


@pytest.fixture(scope="module")
def work(starfreight: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a recipe, its data, its base, and the package made of them."""
    from starfreight.base_model import STARTER_FOLDER

    folder = tmp_path_factory.mktemp("rebuild")
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "src").mkdir()
    for number in range(8):
        (folder / "src" / f"m{number}.py").write_text(MODULE.format(number))
    shutil.copytree(STARTER_FOLDER, folder / "models" / "starter")
    starfreight("jobs", "run", "recipe.yaml", cwd=folder)
    (run,) = (folder / "runs").iterdir()
    starfreight("package", "build", run, "--out", "package", cwd=folder)
    shutil.rmtree(folder / "runs")
    return folder


def test_raw_data_give_the_published_bytes_again(work: Path, starfreight: Run, tmp_path: Path) -> None:
    base = shutil.move(work / "models" / "starter", tmp_path / "elsewhere")
    try:
        done = starfreight(
            "package", "rebuild", work / "package", "--train", "--recipe-folder", work, "--base", base,
            "--json", cwd=tmp_path,
        )  # fmt: skip
    finally:
        shutil.move(base, work / "models" / "starter")
    found = json.loads(done.stdout)
    assert found["identical"] is True and found["first_difference"] is None
    assert [step["name"] for step in found["steps"]] == [
        "data", "adapter/adapter_config.json", "adapter/adapter_model.safetensors", "importance matrix",
    ]  # fmt: skip
    assert [each["name"] for each in found["files"]] == ["tiny-Q8_0.gguf", "tiny-Q4_K_M.gguf"]
    assert not list(tmp_path.rglob("run.json")), "nothing is left behind"


def test_the_first_step_that_differs_is_named_with_its_files(
    work: Path, starfreight: Run, tmp_path: Path
) -> None:
    folder = shutil.copytree(work, tmp_path / "changed")
    (folder / "src" / "m1.py").write_text(MODULE.format(100))
    (folder / "src" / "m2.py").rename(folder / "src" / "n2.py")
    done = starfreight("package", "rebuild", "package", "--train", "--json", cwd=folder, code=3)
    found = json.loads(done.stdout)
    assert found["first_difference"] == "data" and found["files"] == []
    (source,) = found["steps"][0]["difference"]["sources"]
    names = {kind: names for kind, names in source["names"].items() if names}
    assert names == {"changed": ["m1.py"], "added": ["n2.py"], "removed": ["m2.py"]}


def test_another_base_is_refused_before_training(work: Path, starfreight: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(work, tmp_path / "changed")
    config = folder / "models" / "starter" / "generation_config.json"
    config.write_text(config.read_text() + " ")
    done = starfreight("package", "rebuild", "package", "--train", cwd=folder, code=3)
    assert "generation_config.json" in done.stderr and "Training" not in done.stderr


def test_missing_data_are_named_with_the_option(work: Path, starfreight: Run, tmp_path: Path) -> None:
    done = starfreight("package", "rebuild", work / "package", "--train", cwd=tmp_path, code=2)
    assert "--recipe-folder" in done.stderr
