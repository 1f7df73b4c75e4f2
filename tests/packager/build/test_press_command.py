"""``starfreight package press``: files from a base model without a run."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from starfreight.errors import GateError, InputError, RecipeError
from starfreight.files import sha256_file
from starfreight.packager.cli import package

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
    result = run(base, "--quantize", "q4_k_m", "--quantize", "Q8_0", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    files = json.loads(result.stdout)["files"]
    assert [file["kind"] for file in files] == ["Q4_K_M", "Q8_0"]
    assert [Path(file["path"]).name for file in files] == ["small-coder-Q4_K_M.gguf", "small-coder-Q8_0.gguf"]
    assert [file["digest"] for file in files] == [sha256_file(Path(file["path"])) for file in files]
    lying = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert lying == ["small-coder-Q4_K_M.gguf", "small-coder-Q8_0.gguf"]


def test_it_merges_an_adapter_and_writes_it_as_a_lora_file(base: Path, adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = (base, "--adapter", adapter, "--quantize", "Q8_0", "--out", out, "--lora")
    result = run(*given)
    assert result.exit_code == 0, result.output
    plain = sha256_file(out / "acme-1f2e-Q8_0.gguf")
    assert plain in result.stdout
    assert str(out / "acme-1f2e-F16-LoRA.gguf") in result.stdout
    again = run(*given, "--merge-base", "nf4_roundtrip", "--load-dtype", "F32")
    assert again.exit_code == 0, again.output
    assert sha256_file(out / "acme-1f2e-Q8_0.gguf") != plain


def test_an_importance_matrix_can_be_given(
    base: Path, make_imatrix: Callable[..., Path], tmp_path: Path
) -> None:
    imatrix, out = make_imatrix(base, tmp_path / "imatrix.gguf"), tmp_path / "out"
    digests = []
    for options in ((), ("--imatrix", imatrix)):
        result = run(base, "--quantize", "Q4_K_M", "--out", out, *options)
        assert result.exit_code == 0, result.output
        digests.append(sha256_file(out / "small-coder-Q4_K_M.gguf"))
    assert digests[0] != digests[1]
    imatrix.write_bytes(b"GGUF")
    result = run(base, "--quantize", "Q4_K_M", "--out", out, "--imatrix", imatrix)
    assert isinstance(result.exception, InputError)
    assert result.exception.where == str(imatrix)
    assert sha256_file(out / "small-coder-Q4_K_M.gguf") == digests[1]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ((), "No file is requested"),
        (("--quantize", "Q9"), "Unknown quantization 'Q9'"),
        (("--lora",), "--lora needs an adapter"),
        (
            ("--quantize", "Q8_0", "--merge-base", "nf4_roundtrip"),
            "--merge-base nf4_roundtrip needs an adapter",
        ),
        (("--lora", "--adapter", "a", "--imatrix", "i.gguf"), "--imatrix has no effect without --quantize"),
        (("--quantize", "Q8_0", "--name", "a/b"), "not a valid file name"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: tuple[str, ...], what: str, base: Path, tmp_path: Path
) -> None:
    result = run(base, "--out", tmp_path / "out", *options)
    assert isinstance(result.exception, RecipeError)
    assert what in result.exception.what


def test_a_gpu_can_be_left_alone_and_one_that_is_missing_is_named(base: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    given = (base, "--quantize", "Q4_K_M", "--out", tmp_path / "out")
    result = run(*given, "--device", "cpu")
    assert result.exit_code == 0, result.output
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = run(*given, "--name", "other", "--device", "cuda")
    assert isinstance(result.exception, RecipeError)
    assert "No GPU to quantise on" in result.exception.what
    assert [path.name for path in (tmp_path / "out").glob("*other*")] == []


def test_a_base_that_is_none_is_named_as_what_it_is(base: Path, tmp_path: Path) -> None:
    result = run("builtin:nope", "--quantize", "Q8_0", "--out", tmp_path / "out")
    assert isinstance(result.exception, RecipeError)
    assert result.exception.what == "There is no built-in model 'builtin:nope'."
    assert result.exception.fix == "use builtin:starter"
    result = run("bigcode/starcoder2-3b", "--quantize", "Q8_0", "--out", tmp_path / "out")
    assert isinstance(result.exception, InputError)
    assert "'bigcode/starcoder2-3b' is not a directory" in result.exception.what
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_without_an_adapter_is_named_as_that(
    missing: str, base: Path, adapter: Path, tmp_path: Path
) -> None:
    result = run(base, "--adapter", adapter.parent, "--quantize", "Q8_0", "--out", tmp_path / "out")
    assert isinstance(result.exception, InputError)
    assert result.exception.fix == f"name {adapter}"
    (adapter / missing).unlink()
    result = run(base, "--adapter", adapter, "--quantize", "Q8_0", "--out", tmp_path / "out")
    assert isinstance(result.exception, InputError)
    assert result.exception.what == f"The directory is not an adapter: it has no {missing}."
    assert result.exception.where == str(adapter)


def test_the_adapter_of_a_run_is_merged_into_that_runs_base_only(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_run(tmp_path)
    weights = tmp_path / "base" / "model.safetensors"
    files = ("--adapter", folder / "adapter", "--out", tmp_path / "out")
    given = (tmp_path / "base", *files, "--quantize", "Q8_0")
    assert run(*given).exit_code == 0
    recorded = sha256_file(weights)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1  # The same names and shapes: nothing else would tell.
    weights.write_bytes(data)
    for more in ((), ("--lora",)):
        refused = run(*given, *more).exception
        assert isinstance(refused, GateError)
        assert "not the one the adapter was trained on" in refused.what
        assert refused.where == str(weights)
        assert recorded in refused.what and sha256_file(weights) in refused.what
    # An adapter that was taken out of its run tells nothing of its base but shapes.
    (folder / "adapter").rename(tmp_path / "loose")
    files = ("--adapter", tmp_path / "loose", "--out", tmp_path / "out")
    given = (tmp_path / "base", *files, "--quantize", "Q8_0")
    assert run(*given).exit_code == 0


def test_a_folder_in_which_another_process_is_pressing_is_refused(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = run(base, "--quantize", "Q8_0", "--out", out)
    assert isinstance(result.exception, InputError)
    assert "already pressing" in result.exception.what
    assert [path.name for path in out.iterdir()] == [".lock"]


def test_the_base_model_is_opened_once_for_all_files(
    base: Path, adapter: Path, tmp_path: Path, config_reads: list[Path]
) -> None:
    result = run(
        base,
        "--adapter",
        adapter,
        "--quantize",
        "Q8_0",
        "--quantize",
        "F16",
        "--lora",
        "--out",
        tmp_path / "out",
    )
    assert result.exit_code == 0, result.output
    assert config_reads == [base / "config.json"]
