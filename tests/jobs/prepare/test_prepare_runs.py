"""A run's directory: found again for the same inputs, a new one for other inputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import sha256_file
from starfreight.jobs.prepare.prepare_runs import prepare_runs
from starfreight.recipe import expand, load_recipe
from starfreight.run import DATA_MANIFEST, Run

Prepare = Callable[[Path], Path]
WriteJob = Callable[..., Path]


def test_the_same_inputs_find_the_same_run_and_keys_that_training_ignores_may_change(
    write_job: WriteJob, prepare: Prepare
) -> None:
    first = prepare(write_job())
    record = Run.load(first)
    assert record.status == "prepared"
    assert record.id == first.name
    assert record.data_manifest.digest == sha256_file(first / DATA_MANIFEST)
    assert record.base.files
    assert prepare(write_job(package={"quantizations": ["F16"]}, run={"time_limit": "2h"})) == first
    assert Run.load(first).recipe.run.time_limit == 7200
    assert Run.load(first).base == record.base


@pytest.mark.parametrize(
    ("source", "what", "fix"),
    [
        ({"source": "./nowhere", "license": "MIT"}, "does not exist", "correct the path"),
        ({"source": "https://host.example/a/b.git", "license": "MIT"}, "does not exist", "as git:https://"),
        ({"source": "git@host.example:a/b", "license": "MIT"}, "does not exist", "as git:https://"),
        ({"source": "./code", "license": "Foo-3"}, "is not a license on the SPDX list", "LicenseRef-NAME"),
    ],
)
def test_an_error_about_a_source_names_its_number(
    source: dict[str, str], what: str, fix: str, write_job: WriteJob, prepare: Prepare
) -> None:
    path = write_job()
    recipe = json.loads(path.read_text())
    path.write_text(json.dumps(recipe | {"data": [*recipe["data"], source]}))
    with pytest.raises(RecipeError, match=what) as raised:
        prepare(path)
    assert "key data[1]." in str(raised.value.where)
    assert fix in str(raised.value.fix)


@pytest.mark.parametrize("change", ["training", "base license", "data license", "code", "weights"])
def test_other_inputs_make_another_run(
    change: str, write_job: WriteJob, prepare: Prepare, tmp_path: Path, bases: Mapping[str, Path]
) -> None:
    shutil.copytree(bases["starcoder2"], tmp_path / "base")
    base = {"model": "./base", "license": "MIT"}
    first = prepare(write_job(base=base))
    changes: dict[str, Any] = {"base": base}
    if change == "training":
        changes["training"] = {"seed": 43}
    elif change == "base license":
        changes["base"] = base | {"license": "Apache-2.0"}
    elif change == "data license":
        changes["data"] = {"source": "./code", "license": "Apache-2.0", "held_out": 0.25}
    recipe = write_job(**changes)
    if change == "code":
        (tmp_path / "code/more.py").write_text("x = 1\n")
    elif change == "weights":
        path = tmp_path / "base/model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert prepare(recipe) != first


def test_a_run_killed_during_its_preparation_is_prepared_again(write_job: WriteJob, prepare: Prepare) -> None:
    run = prepare(write_job())
    whole = (run / "run.json").read_bytes()
    (run / "run.json").unlink()
    (run / DATA_MANIFEST).write_text("half")
    assert prepare(write_job()) == run
    assert (run / "run.json").read_bytes() == whole
    assert Run.load(run).data_manifest.digest == sha256_file(run / DATA_MANIFEST)


def test_each_variant_of_a_sweep_has_its_own_run(write_job: WriteJob, tmp_path: Path) -> None:
    file = load_recipe(write_job(sweep={"training.rank": [2, 4]}))
    console = Console(quiet=True)
    runs = [
        run
        for recipe in expand(file.recipe)
        for run in prepare_runs([recipe], file.folder, tmp_path / "runs", console)
    ]
    assert [Run.load(run).recipe.training.rank for run in runs] == [2, 4]
    assert [run.name.rsplit("-", 1)[0] for run in runs] == ["tiny-rank-2", "tiny-rank-4"]


def test_variants_with_the_same_data_read_it_once(
    write_job: WriteJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = {"source": "./code", "license": "MIT", "held_out": 0.5, "filters": {"near_duplicates": False}}
    file = load_recipe(write_job(sweep={"training.rank": [2, 4]}))
    recipes = list(expand(file.recipe))
    other = load_recipe(write_job(data=half)).recipe
    runs = prepare_runs([recipes[0], other, recipes[1]], file.folder, tmp_path / "runs", Console())
    assert capsys.readouterr().err.count("./code: ") == 2
    digests = [Run.load(run).data_manifest.digest for run in runs]
    assert digests[0] == digests[2] != digests[1]
    assert [run.name.rsplit("-", 1)[0] for run in runs] == ["tiny-rank-2", "tiny", "tiny-rank-4"]
    for run in runs:
        assert Run.load(run).data_manifest.digest == sha256_file(run / DATA_MANIFEST)
        assert (run / "data/left_out.jsonl").is_file()


def test_a_preparation_leaves_no_partial_files(write_job: WriteJob, prepare: Prepare, tmp_path: Path) -> None:
    run = prepare(write_job())
    assert [path.name for path in run.parent.iterdir()] == [run.name]
    assert sorted(path.name for path in (run / "data").iterdir()) == ["left_out.jsonl", "manifest.json"]
    with pytest.raises(InputError, match="The source has no text to train on"):
        prepare(write_job(data={"source": "./code"}))
    assert [path.name for path in run.parent.iterdir()] == [run.name]


def test_little_data_stops_a_run_unless_its_recipe_allows_it(
    write_job: WriteJob, prepare: Prepare, tmp_path: Path
) -> None:
    source = {"source": "./code", "filters": {"near_duplicates": False}}
    recipe = write_job(data=source)
    for number in range(3):
        path = tmp_path / f"code/basket_{number}.py"
        path.write_text("# SPDX-License-Identifier: MIT\n" + path.read_text())
    with pytest.raises(InputError, match="license leaves out 5 of 8 texts") as caught:
        prepare(recipe)
    assert caught.value.where == "key data[0].license, ./code"
    assert not list((tmp_path / "runs").glob("tiny-*"))
    allowed = json.loads(recipe.read_text()) | {"run": {"threads": 1, "allow_little_data": True}}
    recipe.write_text(json.dumps(allowed))
    run = prepare(recipe)
    assert Run.load(run).recipe.run.allow_little_data
    # A run that exists is found, also by a recipe without the key.
    recipe.write_text(json.dumps(allowed | {"run": {"threads": 1}}))
    assert prepare(recipe) == run


def test_settings_that_the_model_cannot_load_are_refused_before(
    write_job: WriteJob, prepare: Prepare
) -> None:
    with pytest.raises(RecipeError, match="256 tokens at most") as caught:
        prepare(write_job(training={"sequence_length": 257}))
    assert caught.value.where == "key training.sequence_length"
    with pytest.raises(RecipeError, match="'c_attn'") as caught:
        prepare(write_job(training={"target_modules": ["q_proj", "c_attn"]}))
    assert "c_proj" in str(caught.value.fix)
    prepare(write_job(training={"target_modules": ["q_proj"], "sequence_length": 256}))


def test_a_base_model_without_a_license_or_fim_tokens_is_refused(
    write_job: WriteJob, prepare: Prepare, tmp_path: Path, bases: Mapping[str, Path]
) -> None:
    base = Path(shutil.copytree(bases["starcoder2"], tmp_path / "base"))
    with pytest.raises(RecipeError, match="license of the base model is unknown"):
        prepare(write_job(base={"model": "./base"}))
    tokenizer = json.loads((base / "tokenizer.json").read_text())
    text = json.dumps(tokenizer).replace("<fim_middle>", "<something>")
    (base / "tokenizer.json").write_text(text)
    with pytest.raises(InputError, match="middle") as caught:
        prepare(write_job(base={"model": "./base", "license": "MIT"}))
    assert caught.value.where == str(base / "tokenizer.json")
    assert not (tmp_path / "runs").exists()


def test_a_run_records_the_learning_rate_that_auto_means_for_its_base(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path]
) -> None:
    run = Run.load(prepare(write_job(training={"learning_rate": "auto"})))
    assert run.recipe.training.learning_rate == 2e-3
    same = Run.load(prepare(write_job(training={"learning_rate": 2e-3})))
    assert same.id == run.id
