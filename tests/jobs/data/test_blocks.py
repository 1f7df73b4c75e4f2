"""The same recipe, files and seed give the same blocks; others give others."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.data.blocks import TrainingData, make_blocks
from jobs.data.encoder import Encoder
from jobs.data.manifest import DataManifest, list_data
from jobs.data.sources import locate_source
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.recipe import load_recipe


def make(path: Path, encoder: Encoder) -> tuple[DataManifest, TrainingData]:
    file = load_recipe(path)
    paths = [locate_source(data, file.folder) for data in file.recipe.data]
    manifest = list_data(file.recipe, paths, Console(quiet=True))
    return manifest, make_blocks(file.recipe, manifest, paths, encoder)


def digest(data: TrainingData) -> str:
    return sha256_bytes(canonical_json(dataclasses.asdict(data)))


def test_the_same_recipe_gives_the_same_manifest_and_the_same_blocks_wherever_the_files_lie(
    write_job: Callable[..., Path], encoder: Encoder, tmp_path: Path
) -> None:
    recipe = write_job()
    manifest, data = make(recipe, encoder)
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(tmp_path / "code", tmp_path / "elsewhere/code")
    moved = Path(shutil.copy(recipe, tmp_path / "elsewhere/recipe.yaml"))
    again, same = make(moved, encoder)
    assert again == manifest
    assert digest(same) == digest(data)
    assert str(tmp_path) not in manifest.model_dump_json()


def test_another_seed_gives_other_blocks_of_the_same_files(
    write_job: Callable[..., Path], encoder: Encoder
) -> None:
    manifest, data = make(write_job(), encoder)
    again, other = make(write_job(training={"seed": 43}), encoder)
    assert again == manifest
    assert digest(other) != digest(data)


def test_nothing_that_is_held_out_is_learned(
    write_job: Callable[..., Path], encoder: Encoder, tmp_path: Path
) -> None:
    manifest, data = make(write_job(training={"steps": 50}), encoder)
    apart = [file.path for file in manifest.sources[0].files if file.split == "held_out"]
    assert len(apart) == 2
    learned = " ".join(encoder.decode(block.ids) for block in data.blocks)
    measured = " ".join(encoder.decode(block.ids) for block in data.held_out)
    for number in range(8):
        name = f"Basket_{number}"
        assert (name in learned) == (f"basket_{number}.py" not in apart)
    assert data.probes
    assert measured


def test_steps_and_epochs_give_whole_steps(write_job: Callable[..., Path], encoder: Encoder) -> None:
    _, by_steps = make(write_job(training={"steps": 7, "batch_size": 3, "gradient_accumulation": 2}), encoder)
    assert len(by_steps.blocks) == 7 * 3 * 2
    counts = {}
    for epochs in (0.5, 1, 2):
        _, data = make(write_job(training={"steps": None, "epochs": epochs, "batch_size": 4}), encoder)
        assert len(data.blocks) % 4 == 0
        counts[epochs] = len(data.blocks)
    assert counts[0.5] == pytest.approx(counts[1] / 2, abs=4)
    assert counts[2] == pytest.approx(counts[1] * 2, abs=8)


def test_each_pass_makes_new_cuts(write_job: Callable[..., Path], encoder: Encoder) -> None:
    _, data = make(write_job(training={"steps": None, "epochs": 2, "batch_size": 1}), encoder)
    half = len(data.blocks) // 2
    first = {tuple(block.ids) for block in data.blocks[:half]}
    again = [block for block in data.blocks[half:] if tuple(block.ids) in first]
    assert len(again) < half / 10, "a pass repeats the one before it"


def test_at_most_as_much_is_measured_as_the_recipe_says(
    write_job: Callable[..., Path], encoder: Encoder
) -> None:
    _, data = make(write_job(training={"evaluation_blocks": 1, "evaluation_completions": 0}), encoder)
    assert (len(data.held_out), len(data.probes)) == (1, 0)
    none: Mapping[str, Any] = {"source": "./code", "held_out": 0}
    _, data = make(write_job(data=none), encoder)
    assert (len(data.held_out), len(data.probes)) == (0, 0)


def test_data_that_gives_no_example_is_refused(
    write_job: Callable[..., Path], encoder: Encoder, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"prefix": "a", "middle": "' + "word " * 100 + '", "suffix": "b"}\n')
    with pytest.raises(InputError, match="no example"):
        make(write_job(data={"source": "./a.jsonl", "held_out": 0}), encoder)
