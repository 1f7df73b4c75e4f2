"""``plan`` counts tokens as a run does, and marks estimates."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from recipe_files import write_code
from small_jobs import ALL_ALIKE, CODE

from starfreight.cli import main
from starfreight.console import Console
from starfreight.jobs.data.blocks.training_data import TrainingData
from starfreight.jobs.planning.data_look import Bounds, DataLook, look_at_data
from starfreight.jobs.planning.training_plan import plan_training
from starfreight.recipe import load_recipe

SOURCE = {"source": "./code", "license": "MIT", "held_out": 0.25, "filters": ALL_ALIKE}


def look(recipe: Path, base: Path, *paths: Path | None, **bounds: float) -> DataLook:
    """Looks at the sources of a recipe with the tokenizer of a base model."""
    file = load_recipe(recipe)
    return look_at_data(file.recipe, file.folder, paths, base, Console(quiet=True), Bounds(**bounds))


def test_a_pass_has_the_tokens_and_blocks_that_the_run_makes(
    write_job: Callable[..., Path], bases: Mapping[str, Path], prepare: Callable[[Path], Path],
    read_blocks: Callable[..., TrainingData], tmp_path: Path,
) -> None:  # fmt: skip
    recipe = write_job(data=SOURCE, training={"steps": None, "epochs": 1})
    counted = look(recipe, bases["starcoder2"], tmp_path / "code").tokens
    made = read_blocks(prepare(recipe), processes=1).record
    assert counted is not None and not counted.about
    assert (counted.tokens, counted.blocks) == (made.tokens, made.train - made.repeated)
    file = load_recipe(recipe)
    from starfreight.jobs.planning.model_shapes import base_shape

    plan = plan_training(file.recipe, base_shape(file.recipe.base, file.folder), None, counted.blocks)
    assert plan.steps == made.train // 4  # Two blocks twice.


@pytest.mark.parametrize("kind", ["directory", "records"])
def test_large_data_are_counted_from_a_sample_in_bounded_time(
    kind: str, write_job: Callable[..., Path], bases: Mapping[str, Path], tmp_path: Path
) -> None:
    source = dict(SOURCE)
    texts = [CODE.format(number=number) for number in range(300)]
    if kind == "records":
        source["source"] = "./all.jsonl"
        (tmp_path / "all.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    recipe = write_job(data=source)
    if kind == "directory":
        for number, text in enumerate(texts):
            (tmp_path / "code" / f"basket_{number}.py").write_text(text)
    path = tmp_path / ("code" if kind == "directory" else "all.jsonl")
    whole = look(recipe, bases["starcoder2"], path).tokens
    began = time.monotonic()
    part = look(recipe, bases["starcoder2"], path, texts=60).tokens
    assert time.monotonic() - began < 30
    assert whole is not None and part is not None
    assert part.about and not whole.about
    assert part.tokens == pytest.approx(whole.tokens, rel=0.2)
    assert part.blocks == pytest.approx(whole.blocks, rel=0.2)


def test_the_plan_tells_the_tokens_and_what_is_an_estimate(
    write_job: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_job(data=SOURCE, training={"steps": None, "epochs": 2}, package={"license": "MIT"})
    base = json.loads(recipe.read_text())["base"]["model"]
    (Path(base) / "LICENSE").write_text("MIT License\n")
    assert main(["plan", str(recipe), "--json"]) == 0
    (variant,) = json.loads(capsys.readouterr().out)["variants"]
    assert variant["data_tokens"]["tokens"] > 100 and variant["data_tokens"]["about"] is False
    assert variant["steps"] >= 2 * variant["data_tokens"]["blocks"] // 4
    assert variant["duration"] is None  # Nothing was measured.
    assert main(["plan", str(recipe)]) == 0
    told = capsys.readouterr().out
    assert f"{variant['data_tokens']['tokens']:,} tokens in the data" in told
    assert f"in {variant['steps']:,} steps" in told


def test_data_that_are_not_here_are_not_counted(
    write_job: Callable[..., Path], bases: Mapping[str, Path]
) -> None:
    recipe = write_job(data=SOURCE)
    write_code(recipe.parent)
    assert look(recipe, bases["starcoder2"], None).tokens is None
