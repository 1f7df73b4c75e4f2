"""A package is built from the base model's files that the run recorded, and from no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from starfreight.checkpoint import Checkpoint, open_checkpoint
from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import sha256_file
from starfreight.image_layout.reader import ImageLayout
from starfreight.packager.build.build_package import build_package
from starfreight.records import FileDigest
from starfreight.run import Run


def test_an_index_that_the_run_did_not_record_is_refused(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    index = tmp_path / "base" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "model.safetensors"}}))
    with pytest.raises(GateError, match="the run recorded no model") as caught:
        build_package(run, tmp_path / "p", None, console)
    assert caught.value.where == str(index)


def test_a_second_set_of_weights_is_refused(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    (tmp_path / "base" / "model-00001-of-00002.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="two sets of weights"):
        build_package(run, tmp_path / "p", None, console)
    assert not (tmp_path / "p").exists()


def test_a_tokenizer_that_llama_cpp_would_apply_differently_is_refused(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    path = tmp_path / "base" / "tokenizer.json"
    data = json.loads(path.read_text())
    next(each for each in data["added_tokens"] if each["content"] == "<fim_prefix>")["special"] = False
    path.write_text(json.dumps(data))
    record = Run.load(run)
    # As an earlier version recorded it.
    changed = FileDigest(path="tokenizer.json", digest=sha256_file(path), size=path.stat().st_size)
    files = tuple(changed if each.path == changed.path else each for each in record.base.files)
    record.model_copy(update={"base": record.base.model_copy(update={"files": files})}).save(run)
    with pytest.raises(InputError, match="'<fim_prefix>' is not special"):
        build_package(run, tmp_path / "p", None, console)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("window", [None, 48])
def test_the_card_names_the_window_of_the_attention(
    window: int | None,
    make_run: Callable[..., Path],
    console: Console,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def with_window(folder: Path) -> Checkpoint:
        opened = open_checkpoint(folder)
        return replace(opened, shape=replace(opened.shape, sliding_window=window))

    # make_run records the digest of a config.json without a window.
    monkeypatch.setattr("starfreight.packager.build.build_package.open_checked", with_window)
    package = build_package(make_run(tmp_path), tmp_path / "p", None, console)
    card = ImageLayout(tmp_path / "p").read(package.model_card, 1 << 20).decode()
    assert ("Its attention reaches back 48 tokens." in card) is (window is not None)
