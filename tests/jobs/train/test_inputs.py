"""The files that training reads are those which were hashed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.train.training_job import run_job
from starfreight.run import Run

pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("model.safetensors.index.json", None, "was added to the base model"),
        ("model-00001-of-00002.safetensors", "", "two sets of weights"),
        ("adapter_config.json", "{}", "also holds an adapter"),
    ],
)
def test_a_file_that_another_reader_would_prefer_stops_the_job(
    name: str,
    text: str | None,
    words: str,
    write_job: Callable[..., Path],
    prepare: Callable[[Path], Path],
    tmp_path: Path,
    bases: Mapping[str, Path],
) -> None:
    base = Path(shutil.copytree(bases["starcoder2"], tmp_path / "base"))
    run = prepare(write_job(base={"model": "./base", "license": "MIT"}))
    index = json.dumps({"weight_map": {"x": "model.safetensors"}})
    (base / name).write_text(index if text is None else text)
    with pytest.raises(InputError, match=words) as caught:
        run_job(run, StopRequest())
    assert str(base) in str(caught.value.where)
    assert Run.load(run).status == "failed"
