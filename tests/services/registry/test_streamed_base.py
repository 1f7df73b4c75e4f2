"""A base in a registry whose weights are not downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from starfreight.checkpoint import StreamedBase
from starfreight.console import Console
from starfreight.files import sha256_file
from starfreight.packager.build.base_source import Streaming, find_base
from starfreight.packager.build.press_files import PressFilesRequest, press_files
from starfreight.quantization import Quantization
from starfreight.recipe import Base
from starfreight.remote_weights import block_reader

pytestmark = pytest.mark.usefixtures("model_cache")


def test_files_pressed_from_a_registry_are_those_of_the_directory(
    pushed_base: str,
    bases: Any,
    console: Console,
    model_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Blocks of which the model has many, and few are held.
    monkeypatch.setattr(block_reader, "BLOCK", 1 << 14)
    monkeypatch.setattr(block_reader, "HELD", 10)
    options: dict[str, Any] = {"quantize": ("Q8_0", "F16"), "name": "m", "stream_base": True}
    streamed = press_files(PressFilesRequest(tmp_path / "streamed", pushed_base, **options), console)
    local = press_files(PressFilesRequest(tmp_path / "local", str(bases["starcoder2"]), **options), console)
    assert [file.digest for file in streamed] == [file.digest for file in local]
    assert [sha256_file(file.path) for file in streamed] == [file.digest for file in streamed]
    assert not list(model_cache.rglob("*.safetensors"))


def test_a_base_is_streamed_if_the_disk_lacks_room_for_it_beside_the_files(
    pushed_base: str, model_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def find(free: int, choice: bool | None = None, *kinds: Quantization) -> Path | StreamedBase:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
        streaming = Streaming(choice, tmp_path / "out", kinds)
        return find_base(Base(model=pushed_base), tmp_path, streaming, Console())

    streamed = find(1)
    assert isinstance(streamed, StreamedBase)
    size = sum(streamed.weights.sizes.values())
    assert "too little for the base beside the files" in capsys.readouterr().err
    assert isinstance(find(size, None, Quantization.Q8_0), StreamedBase)
    assert isinstance(find(size - 1, None), StreamedBase)
    capsys.readouterr()
    assert isinstance(find(1 << 60, True), StreamedBase)
    error = capsys.readouterr().err
    assert "are read at their source" in error
    assert "too little" not in error
    whole = find(1 << 60)
    assert isinstance(whole, Path)
    assert list(whole.glob("*.safetensors"))
    assert find(1, True) == whole  # It is here now.
