"""The record of a run: read, written, and refused if invalid."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.files import sha256_bytes
from starfreight.recipe import load_recipe, recipe_digest
from starfreight.records import FileDigest
from starfreight.run import BaseInput, Inputs, Machine, Measurement, Outcome, Run

DIGEST = "sha256:" + "0" * 64
ADAPTER = b"weights"


@pytest.fixture
def run(write_recipe: Callable[..., Path]) -> Run:
    recipe = load_recipe(write_recipe("run: {gpu_memory: 24GB, time_limit: 2h}")).recipe
    file = FileDigest(path="adapter/a", digest=sha256_bytes(ADAPTER), size=len(ADAPTER))
    measured = Measurement(loss=1.25, tokens=10, exact_match=None, completions=0)
    return Run(
        version=1, id="acme-0123456789", status="done", recipe=recipe, recipe_digest=recipe_digest(recipe),
        base=BaseInput(
            model="./base", revision=None, license="MIT", architecture="starcoder2", digest=DIGEST,
            files=(file,),
        ),
        data_manifest=file, versions={"torch": "2"}, machine=Machine(processor="x", device="cpu", threads=1),
        outcome=Outcome(steps=1, tokens=2, seconds=0.5, before=measured, after=None, adapter=(file,)),
    )  # fmt: skip


def test_a_run_is_read_back_as_it_was_written(run: Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    assert Run.load(tmp_path) == run


def test_a_run_is_done_only_while_its_adapter_is_unchanged(run: Run, tmp_path: Path) -> None:
    assert not run.is_done(tmp_path)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/a").write_bytes(ADAPTER)
    assert run.is_done(tmp_path)
    assert not run.model_copy(update={"status": "stopped"}).is_done(tmp_path)
    (tmp_path / "adapter/a").write_bytes(ADAPTER + b"!")
    assert not run.is_done(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 2"),
        ({"version": "1"}, "version"),
        ({"version": None}, "version"),
        ({"id": "../etc"}, "id"),
        ({"status": "fine"}, "status"),
        ({"recipe_digest": "sha256:0"}, "recipe_digest"),
        ({"surprise": 1}, "surprise"),
    ],
    ids=str,
)
def test_an_invalid_record_is_refused(run: Run, tmp_path: Path, change: dict[str, Any], words: str) -> None:
    data = json.loads(run.model_dump_json()) | change
    (tmp_path / "run.json").write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        Run.load(tmp_path)
    assert words in caught.value.what
    assert caught.value.where == str(tmp_path / "run.json")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 1000])
def test_a_file_that_is_not_a_record_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "run.json").write_bytes(data)
    with pytest.raises(InputError):
        Run.load(tmp_path)


def test_a_missing_and_a_huge_record_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Run.load(tmp_path)
    (tmp_path / "inputs.json").touch()
    os.truncate(tmp_path / "inputs.json", 10**9)
    with pytest.raises(InputError, match="larger"):
        Inputs.load(tmp_path)
