"""``starfreight package press``: files from a base model without a run."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from packager.cli import package
from starfreight.errors import InputError, RecipeError
from starfreight.files import sha256_file

UP = "model.layers.0.mlp.c_fc.weight"


def run(*arguments: Any) -> Result:
    """The command's exit code, words and error."""
    return CliRunner().invoke(package, ["press", *map(str, arguments)])


@pytest.fixture
def base(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A small base model."""
    return make_checkpoint(tmp_path / "small-coder", layers=1, ffn=256)


@pytest.fixture
def adapter(make_adapter: Callable[..., Path], tmp_path: Path) -> Path:
    """An adapter in the folder of a run."""
    return make_adapter(tmp_path / "acme-1f2e" / "adapter", {UP: (256, 256)})


def test_it_writes_one_file_for_each_quantization(base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".partial-left").write_text("by a killed process")
    result = run(base, "-q", "q4_k_m", "-q", "Q8_0", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    files = json.loads(result.stdout)["files"]
    assert [file["kind"] for file in files] == ["Q4_K_M", "Q8_0"]
    assert [Path(file["path"]).name for file in files] == ["small-coder-Q4_K_M.gguf", "small-coder-Q8_0.gguf"]
    assert [file["digest"] for file in files] == [sha256_file(Path(file["path"])) for file in files]
    lying = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert lying == [".lock", "small-coder-Q4_K_M.gguf", "small-coder-Q8_0.gguf"]


def test_it_merges_an_adapter_and_writes_it_as_a_lora_file(base: Path, adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = (base, "--adapter", adapter, "-q", "Q8_0", "--out", out, "--lora")
    result = run(*given)
    assert result.exit_code == 0, result.output
    plain = sha256_file(out / "acme-1f2e-Q8_0.gguf")
    assert plain in result.stdout
    assert str(out / "acme-1f2e-F16-LoRA.gguf") in result.stdout
    again = run(*given, "--merge-base", "nf4_roundtrip", "--load-dtype", "F32")
    assert again.exit_code == 0, again.output
    assert sha256_file(out / "acme-1f2e-Q8_0.gguf") != plain


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ((), "No file was asked for"),
        (("-q", "Q9"), "no quantization 'Q9'"),
        (("--lora",), "no adapter to write"),
        (("-q", "Q8_0", "--merge-base", "nf4_roundtrip"), "no adapter to merge"),
        (("-q", "Q8_0", "--name", "a/b"), "cannot be a file's name"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: tuple[str, ...], what: str, base: Path, tmp_path: Path
) -> None:
    result = run(base, "--out", tmp_path / "out", *options)
    assert isinstance(result.exception, RecipeError)
    assert what in result.exception.what


def test_a_folder_in_which_another_process_is_pressing_is_refused(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = run(base, "-q", "Q8_0", "--out", out)
    assert isinstance(result.exception, InputError)
    assert "already pressing" in result.exception.what
    assert [path.name for path in out.iterdir()] == [".lock"]
