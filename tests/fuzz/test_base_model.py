"""Configuration and tokenizer of a base model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fuzzing import changed_json, fuzz, holds
from hypothesis import given

from starfreight.checkpoint import check_tokenizer, read_config
from starfreight.checkpoint.layout import expected_tensors


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_a_configuration_of_changed_values(
    architecture: str, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_checkpoint(tmp_path / "base", architecture, hidden=64, ffn=128) / "config.json"

    @fuzz
    @given(data=changed_json(json.loads(path.read_text())))
    def read(data: bytes) -> None:
        path.write_bytes(data)
        holds(lambda: expected_tensors(read_config(path)))

    read()


def test_a_tokenizer_of_changed_values(tokenizer_files: Mapping[str, bytes], folder: Path) -> None:
    valid = json.loads(tokenizer_files["starcoder2"])
    kept = dict(list(valid["model"]["vocab"].items())[:40])
    valid["model"] |= {"vocab": kept, "merges": []}

    @fuzz
    @given(data=changed_json(valid))
    def read(data: bytes) -> None:
        (folder / "tokenizer.json").write_bytes(data)
        holds(lambda: check_tokenizer(folder, "starcoder2"))

    read()
