"""The gate of ``package build``: a file has the loss that training measured, or there is no package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.data.formats import IGNORED
from starfreight.jobs.train.loss_sample import choose_sample, measure_sample, sample_size
from starfreight.loss_sample import LossSample
from starfreight.packager.build import build_package as builder
from starfreight.packager.build import check_loss as gate
from starfreight.packager.build.build_package import build_package
from starfreight.packager.layout import verify_layout
from starfreight.packager.provenance.recorded_loss_check import recorded_loss_check
from starfreight.recipe import recipe_digest
from starfreight.run import Run

MakeRun = Callable[..., Path]


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    """Two documents in each of four blocks: the first token and the first half of the second do not count."""
    random = np.random.default_rng(5)
    made = []
    for _ in range(4):
        ids = random.integers(7, 400, 96)
        labels = ids.copy()
        labels[[0, *range(56, 76)]] = IGNORED
        made.append(Block(ids, labels, np.r_[np.arange(56), np.arange(40)], 96))
    return made


@pytest.fixture
def trained(make_run: MakeRun, blocks: list[Block]) -> MakeRun:
    """A finished run with the sample that training would record of its model."""

    def make(root: Path, **options: Any) -> Path:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        folder = make_run(root, **{"quantizations": ["F32"], "merge": {"base": "original"}} | options)
        torch.set_num_threads(1)
        model = AutoModelForCausalLM.from_pretrained(root / "base", dtype=torch.float32)
        config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
        if "target_modules" not in config:
            config |= {"target_modules": ["q_proj", "c_attn"], "task_type": "CAUSAL_LM"}
            copy = shutil.copytree(folder / "adapter", root / "as-peft-reads-it")
            (copy / "adapter_config.json").write_text(json.dumps(config))
        tuned = PeftModel.from_pretrained(model, copy)
        size = sample_size(open_checkpoint(root / "base").shape)
        sample = measure_sample(tuned, choose_sample(blocks, [], size), lambda: None)
        run = Run.load(folder)
        assert run.outcome is not None
        outcome = run.outcome.model_copy(update={"sample": sample.save(folder)})
        # The weights are the base's own, as for LoRA.
        method = run.recipe.training.model_copy(update={"method": "lora"})
        recipe = run.recipe.model_copy(update={"training": method})
        changes = {"outcome": outcome, "recipe": recipe, "recipe_digest": recipe_digest(recipe)}
        run.model_copy(update=changes).save(folder)
        return folder

    return make


def _recorded(out: Path) -> Any:
    from starfreight.package import Package

    return recorded_loss_check(out, Package.load(out))


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize("ship", ["merged", "adapter"])
def test_the_right_file_is_packaged_with_the_result(
    architecture: str, ship: str, trained: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path, architecture=architecture, ship=ship, quantizations=["Q8_0", "F32"])
    package = build_package(run, tmp_path / "p", None, Console())
    assert "agrees with training" in capsys.readouterr().err
    result = _recorded(tmp_path / "p")
    assert result["verdict"] == "within the bounds" and result["file"].endswith("-F32.gguf")
    sample = Run.load(run).outcome.sample  # type: ignore[union-attr]
    assert sample is not None and result["tokens"] == sample.tokens == 300
    card = (tmp_path / "p/blobs/sha256" / package.model_card.digest.removeprefix("sha256:")).read_text()
    assert "On 300 tokens, the loss of" in card
    verify_layout(tmp_path / "p", Console(quiet=True))


def _without_adapter(request: Any) -> Any:
    return replace(request, adapter=None, merge_base="original")


def _twice_the_adapter(request: Any) -> Any:
    copy = shutil.copytree(request.adapter, request.out.parent / "twice")
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": config["lora_alpha"] * 2}))
    return replace(request, adapter=copy)


def _other_adapter(request: Any) -> Any:
    copy = shutil.copytree(request.adapter, request.out.parent / "other")
    data = bytearray((copy / "adapter_model.safetensors").read_bytes())
    weights = np.frombuffer(data, np.float32, offset=len(data) - 4 * 4 * 256)
    weights[:] = np.roll(weights, 7)
    (copy / "adapter_model.safetensors").write_bytes(data)
    return replace(request, adapter=copy)


def _other_config(request: Any, **keys: Any) -> Any:
    folder = request.base.folder
    copy = shutil.copytree(folder, request.out.parent / "other-base")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | keys))
    return replace(request, base=open_checkpoint(copy))


def _other_rope(request: Any) -> Any:
    return _other_config(request, rope_theta=1e6)


def _other_base(request: Any) -> Any:
    copy = shutil.copytree(request.base.folder, request.out.parent / "other-base")
    data = bytearray((copy / "model.safetensors").read_bytes())
    weights = np.frombuffer(data, np.uint16, offset=len(data) - 2 * 256 * 256)
    weights[:] = np.roll(weights, 256)
    (copy / "model.safetensors").write_bytes(data)
    return replace(request, base=open_checkpoint(copy))


@pytest.mark.parametrize(
    "fault", [_without_adapter, _twice_the_adapter, _other_adapter, _other_rope, _other_base]
)
def test_another_file_than_trained_makes_no_package(
    fault: Callable[[Any], Any], trained: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(tmp_path)
    press = builder.press
    monkeypatch.setattr(builder, "press", lambda request, console: press(fault(request), console))
    with pytest.raises(GateError, match="not the model that was trained") as refused:
        build_package(run, tmp_path / "p" / "q", None, Console(quiet=True))
    assert refused.value.exit_code == 3 and "--no-loss-check" in (refused.value.fix or "")
    assert not (tmp_path / "p" / "q").exists()
    assert not any((tmp_path / "p").rglob("*.gguf"))
    # The user overrules it.
    build_package(run, tmp_path / "r", None, Console(quiet=True), skip_loss_check=True)
    assert _recorded(tmp_path / "r") == {"verdict": "skipped on request"}


def test_a_head_that_the_press_drops_is_found(
    trained: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(tmp_path, tied=False)
    press = builder.press

    def tied(request: Any, console: Any) -> Any:
        shape = replace(request.base.shape, tied=True)
        return press(replace(request, base=replace(request.base, shape=shape)), console)

    monkeypatch.setattr(builder, "press", tied)
    assert open_checkpoint(tmp_path / "base").shape.tied is False
    with pytest.raises(GateError, match="not the model that was trained"):
        build_package(run, tmp_path / "p", None, Console(quiet=True))


@pytest.mark.parametrize("fault", [_twice_the_adapter, _other_adapter])
def test_another_adapter_beside_the_base_makes_no_package(
    fault: Callable[[Any], Any], trained: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(tmp_path, ship="adapter")
    press_lora = builder.press_lora
    monkeypatch.setattr(builder, "press_lora", lambda request, console: press_lora(fault(request), console))
    with pytest.raises(GateError, match="not the model that was trained"):
        build_package(run, tmp_path / "p", None, Console(quiet=True))


def test_a_run_of_an_earlier_version_is_packaged_as_before(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_package(make_run(tmp_path), tmp_path / "p", None, Console())
    assert "the run has no sample" in capsys.readouterr().err
    assert _recorded(tmp_path / "p") is None


def test_without_llama_cpp_it_says_so_and_measures_later(
    trained: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path)
    with monkeypatch.context() as missing:
        missing.setitem(sys.modules, "xllamacpp", None)
        build_package(run, tmp_path / "p", None, Console())
        assert "pip install 'starfreight[llama]'" in capsys.readouterr().err
        assert _recorded(tmp_path / "p") == {
            "verdict": "not measured",
            "reason": "llama.cpp is not installed",
        }
        verify_layout(tmp_path / "p", Console(quiet=True))
        build_package(run, tmp_path / "p", None, Console())
        assert "is built already" in capsys.readouterr().err
    build_package(run, tmp_path / "p", None, Console())
    assert _recorded(tmp_path / "p")["verdict"] == "within the bounds"


def test_a_sample_that_changed_after_training_is_refused(trained: MakeRun, tmp_path: Path) -> None:
    run = trained(tmp_path)
    with (run / "loss_sample.json").open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(GateError, match="loss sample is not the run's"):
        build_package(run, tmp_path / "p", None, Console(quiet=True))


def test_the_command_exits_with_3_and_inspect_shows_the_result(
    trained: MakeRun, tmp_path: Path, run_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = trained(tmp_path)
    built = run_cli("package", "build", run, "--out", "p", "--json")
    assert built.returncode == 0, built.stderr
    assert json.loads(built.stdout)["loss_check"]["verdict"] == "within the bounds"
    assert "  loss     within 0.05 nats per token" in run_cli("package", "inspect", "p").stdout

    record = Run.load(run)
    assert record.outcome is not None and record.outcome.sample is not None
    sample = LossSample.load(run, record.outcome.sample)
    better = [
        document.model_copy(update={"losses": tuple(loss - 1 for loss in document.losses)})
        for document in sample.documents
    ]
    entry = sample.model_copy(update={"documents": tuple(better)}).save(run)
    outcome = record.outcome.model_copy(update={"sample": entry})
    record.model_copy(update={"outcome": outcome}).save(run)
    refused = run_cli("package", "build", run, "--out", "q", "--json")
    assert refused.returncode == 3 and not (tmp_path / "q").exists()
    assert "differs by +1.00" in json.loads(refused.stdout)["error"]["what"]
    assert run_cli("package", "build", run, "--out", "q", "--no-loss-check").returncode == 0
    assert "  loss     skipped on request" in run_cli("package", "inspect", "q").stdout


def test_a_statement_about_another_file_does_not_verify(trained: MakeRun, tmp_path: Path) -> None:
    from starfreight.packager.provenance.recorded_loss_check import loss_check_problem

    assert loss_check_problem({"verdict": "within the bounds", "file": "a.gguf"}, ["a.gguf"]) is None
    assert loss_check_problem({"verdict": "within the bounds", "file": "b.gguf"}, ["a.gguf"])
    assert loss_check_problem({"verdict": "perfect"}, [])
    assert loss_check_problem([], [])


def test_the_largest_file_that_fits_into_memory_is_measured(trained: MakeRun, tmp_path: Path) -> None:
    from starfreight.packager.hashed_file import QuantizedFile
    from starfreight.quantization import Quantization

    run = Run.load(folder := trained(tmp_path))
    assert run.outcome is not None and run.outcome.sample is not None
    sample = LossSample.load(folder, run.outcome.sample)
    sizes = {"Q4_K_M": 1, "F16": 4, "BF16": 4, "F32": 8}
    files = [QuantizedFile(Path(q), "", size << 30, Quantization(q)) for q, size in sizes.items()]
    built = gate.BuiltFiles(run, folder, open_checkpoint(tmp_path / "base").shape, files, None)

    def chosen(memory: int | None) -> str | None:
        file = gate.choose_file(built, sample, memory)
        return file and file.path.name

    assert chosen(None) == chosen(9 << 30) == "F32"
    assert chosen(8 << 30) == chosen(5 << 30) == "BF16"
    assert chosen(2 << 30) == "Q4_K_M"
    assert chosen(1 << 30) is None
