"""Completions of an evaluation, in a directory that others may have edited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given

from starfreight.jobs.evaluate.inputs import EvaluationInputs
from starfreight.jobs.evaluate.models.interface import Completion
from starfreight.jobs.evaluate.store import Store
from starfreight.run import INPUTS_FILE

LINE = {
    "problem": "a", "sample": 0, "seed": 7, "text": "x", "tokens": 1, "prompt_tokens": 2, "stop": "stop",
    "first_token": 0.5, "seconds": 1.0, "shortened": False,
}  # fmt: skip
SCORES = {"problem": "a", "sample": 0, "text": "sha256:2d711642b726b044", "scores": {"passed": 1.0}}
INPUTS = {"version": 1, "gguf": "/m.gguf", "server": {}, "hashed": {"size": 1, "changed": 2}, "options": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a job."""
    path = tmp_path_factory.mktemp("job")
    (path / "completions").mkdir()
    return path


def opened(folder: Path, completions: bytes, scores: bytes) -> None:
    (folder / "completions/toy.jsonl").write_bytes(completions)
    (folder / "completions/toy.scores.jsonl").write_bytes(scores)
    with Store(folder, "toy") as store:
        store.scores("a", 0)
        store.keep_completion("b", 0, 7, Completion("text", 1, 1, "stop", None, 0.0))
        store.keep_scores("b", 0, {"passed": 1.0})
    with Store(folder, "toy") as store:
        assert store.scores("b", 0) == {"passed": 1.0}


@fuzz
@given(changed_json(LINE), changed_json(SCORES))
def test_a_line(folder: Path, completion: bytes, scores: bytes) -> None:
    holds(lambda: opened(folder, completion + b"\n", scores + b"\n"))


@fuzz
@given(changed_bytes(json.dumps(LINE).encode() + b"\n"), changed_bytes(json.dumps(SCORES).encode() + b"\n"))
def test_a_file(folder: Path, completions: bytes, scores: bytes) -> None:
    holds(lambda: opened(folder, completions, scores))


@fuzz
@given(changed_json(INPUTS))
def test_the_list_of_inputs(folder: Path, data: bytes) -> None:
    (folder / INPUTS_FILE).write_bytes(data)
    holds(lambda: EvaluationInputs.find(folder))
