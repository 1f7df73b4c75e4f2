"""The base model of a run is opened once, and its licenses are checked before any data is read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, InputError, RecipeError
from starfreight.jobs.prepare import base_input, prepare_runs
from starfreight.license_files import MAX_LICENSE_BYTES
from starfreight.recipe import expand, load_recipe
from starfreight.run import Run

WriteJob = Callable[..., Path]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """The first argument of each call that locates, opens or reads a base model."""
    seen: dict[str, list[Any]] = {}

    def record(name: str) -> None:
        real = getattr(base_input, name)
        seen[name] = []

        def call(first: Any, *rest: Any) -> Any:
            seen[name].append(first)
            return real(first, *rest)

        monkeypatch.setattr(base_input, name, call)

    for name in ("locate_base", "open_checkpoint", "check_tokenizer", "checkpoint_files", "sha256_file"):
        record(name)
    return seen


@pytest.fixture
def base(tmp_path: Path, bases: Mapping[str, Path]) -> Path:
    """A base model without a license text."""
    folder = Path(shutil.copytree(bases["starcoder2"], tmp_path / "base"))
    for path in folder.glob("LICENSE*"):
        path.unlink()
    return folder


def test_variants_of_a_sweep_open_and_hash_their_base_model_once(
    write_job: WriteJob, tmp_path: Path, calls: dict[str, list[Any]]
) -> None:
    file = load_recipe(write_job(sweep={"training.rank": [2, 4], "training.seed": [1, 2]}))
    recipes = expand(file.recipe)
    runs = prepare_runs.prepare_runs(recipes, file.folder, tmp_path / "runs", Console(quiet=True))
    assert len(set(runs)) == len(recipes) == 4
    once = ("locate_base", "open_checkpoint", "check_tokenizer", "checkpoint_files")
    assert {name: len(calls[name]) for name in once} == dict.fromkeys(once, 1)
    assert len(calls["sha256_file"]) == len(set(calls["sha256_file"])) == len(Run.load(runs[0]).base.files)


def test_different_base_models_are_opened_each(
    write_job: WriteJob, tmp_path: Path, base: Path, calls: dict[str, list[Any]]
) -> None:
    license_ = {"license": "MIT"}
    recipes = [
        load_recipe(write_job(base={"model": "./base"} | license_)).recipe,
        load_recipe(write_job()).recipe,
        load_recipe(write_job(base={"model": "./base"} | {"license": "Apache-2.0"})).recipe,
    ]
    runs = prepare_runs.prepare_runs(recipes, tmp_path, tmp_path / "runs", Console(quiet=True))
    assert [Run.load(run).base.license for run in runs] == ["MIT", recipes[1].base.license, "Apache-2.0"]
    assert len(calls["open_checkpoint"]) == 3


def test_a_run_to_be_packaged_needs_a_license_text_before_its_base_is_hashed_or_its_data_read(
    write_job: WriteJob, tmp_path: Path, base: Path, calls: dict[str, list[Any]]
) -> None:
    path = write_job(base={"model": "./base", "license": "LicenseRef-Base"})
    file = load_recipe(path)

    def prepare(*, ship: bool) -> Path:
        recipe = load_recipe(path).recipe
        (run,) = prepare_runs.prepare_runs(
            [recipe], file.folder, tmp_path / "runs", Console(quiet=True), ship=ship
        )
        return run

    with pytest.raises(GateError, match="LicenseRef-Base is missing") as caught:
        prepare(ship=True)
    assert str(base) in str(caught.value.where)
    assert calls["sha256_file"] == []
    assert not (tmp_path / "runs").exists()
    assert Run.load(prepare(ship=False)).status == "prepared"

    (base / "LICENSE").write_bytes(b"x" * (MAX_LICENSE_BYTES + 1))
    with pytest.raises(InputError, match="larger than"):
        prepare(ship=True)
    (base / "LICENSE").write_text("Do what you like.")
    assert prepare(ship=True).is_dir()
    (base / "LICENSE").unlink()
    (tmp_path / "MINE").write_text("Our license.")
    write_job(base={"model": "./base", "license": "LicenseRef-Base"}, package={"license_files": ["MINE"]})
    assert (prepare(ship=True) / "licenses/0.txt").read_text() == "Our license."


def test_a_bad_variant_is_known_before_the_base_of_any_is_hashed(
    write_job: WriteJob, tmp_path: Path, calls: dict[str, list[Any]]
) -> None:
    file = load_recipe(write_job(sweep={"training.sequence_length": [64, 4096]}))
    with pytest.raises(RecipeError, match="tokens at most"):
        prepare_runs.prepare_runs(expand(file.recipe), file.folder, tmp_path / "runs", Console(quiet=True))
    assert calls["sha256_file"] == []
    assert len(calls["open_checkpoint"]) == 1
