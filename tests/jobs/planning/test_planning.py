"""Cost of training, computed without weights."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recipe_files import write_code

from starfreight.jobs.planning.gpu_memory import adapter_parameters, training_memory
from starfreight.jobs.planning.gpus import GPUS, Gpu, find_gpu
from starfreight.jobs.planning.largest_batch import largest_batch
from starfreight.jobs.planning.model_shapes import PUBLISHED, base_shape
from starfreight.recipe import Base, Training

ROOT = Path(__file__).parents[3]
RunCli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("name", "parameters", "lora"),
    [
        ("bigcode/starcoder2-3b", 3_030_371_328, 23.8e6),
        ("bigcode/starcoder2-7b", 7_173_923_840, 38.3e6),
        ("bigcode/starcoder2-15b", 15_957_889_024, 63.6e6),
    ],
)
def test_the_published_shapes_have_the_published_numbers_of_parameters(
    name: str, parameters: int, lora: float
) -> None:
    shape = PUBLISHED[name]
    assert shape.parameters == pytest.approx(parameters, rel=1e-3)
    assert adapter_parameters(shape, Training(rank=16)) == pytest.approx(lora, rel=0.01)


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_the_adapters_size_is_that_of_the_adapter_that_peft_makes(
    architecture: str, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    from transformers import AutoConfig, AutoModelForCausalLM

    from starfreight.jobs.train.model import TARGET_MODULES

    folder = make_checkpoint(tmp_path / "base", architecture)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
        adapted = peft.get_peft_model(
            model, peft.LoraConfig(r=8, target_modules=list(TARGET_MODULES[architecture]))
        )
    trainable = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    shape = base_shape(Base(model=str(folder)), tmp_path)
    assert adapter_parameters(shape, Training(rank=8)) == trainable


@pytest.mark.parametrize(
    ("name", "gib"),
    [("bigcode/starcoder2-3b", 4.8), ("bigcode/starcoder2-7b", 8.1), ("bigcode/starcoder2-15b", 15.5)],
)
def test_memory_is_what_the_formula_was_derived_to_give(name: str, gib: float) -> None:
    memory = training_memory(PUBLISHED[name], Training(sequence_length=2048, batch_size=1))
    assert memory.total / 2**30 == pytest.approx(gib, rel=0.03)


@pytest.mark.parametrize("dropout", [0.0, 0.05])
def test_a_layer_keeps_as_many_bytes_as_the_planner_assumes(
    dropout: float, make_checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("bitsandbytes")
    from starfreight.jobs.train import model as train_model

    # Precision as on a GPU.
    precision = train_model._precision
    monkeypatch.setattr(train_model, "_precision", lambda training, on_gpu: precision(training, on_gpu=True))
    training = Training(
        sequence_length=256, batch_size=1, rank=2, dropout=dropout, gradient_checkpointing=False
    )

    def measure(layers: int) -> tuple[int, int]:
        base = make_checkpoint(
            tmp_path / str(layers), hidden=1024, ffn=4096, layers=layers, heads=8, kv_heads=1
        )
        model = train_model.load_model(base, "starcoder2", training, torch.device("cpu")).train()
        own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
        kept: dict[int, Any] = {}

        def keep(tensor: Any) -> Any:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage
            return tensor

        tokens = torch.randint(0, 400, (1, training.sequence_length))
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with hooks, torch.autocast("cpu", torch.bfloat16):
            model(input_ids=tokens)
        planned = training_memory(base_shape(Base(model=str(base)), tmp_path), training).activations
        return sum(storage.nbytes() for storage in kept.values()), planned

    (small, planned_small), (large, planned_large) = measure(1), measure(3)
    assert large - small == pytest.approx(planned_large - planned_small, rel=0.03)


def test_the_memory_that_the_docs_tell_is_the_planners() -> None:
    rows = re.findall(r"^\| (?:StarCoder2 )?(\d+B) \|(.*)\|$", (ROOT / "docs/training.md").read_text(), re.M)
    told = {name.lower(): [float(cell) for cell in cells.split("|")] for name, cells in rows}
    assert told == {
        name: [
            round(
                training_memory(PUBLISHED[f"bigcode/starcoder2-{name}"], Training(sequence_length=n)).total
                / 1e9,
                1,
            )
            for n in (512, 1024, 2048, 4096)
        ]
        for name in ("3b", "7b", "15b")
    }


def test_longer_and_larger_batches_need_more_memory() -> None:
    shape = PUBLISHED["bigcode/starcoder2-3b"]
    small = training_memory(shape, Training(sequence_length=1024)).total
    assert training_memory(shape, Training(sequence_length=4096)).total > small
    assert training_memory(shape, Training(sequence_length=1024, batch_size=4)).total > small


def test_an_adapter_of_some_layers_is_as_large_as_pefts(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    from transformers import AutoConfig, AutoModelForCausalLM

    for architecture, names in {"starcoder2": ["q_proj", "c_proj"], "starcoder": ["c_proj"]}.items():
        folder = make_checkpoint(tmp_path / architecture, architecture)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
            adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=names))
        trainable = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
        shape = base_shape(Base(model=str(folder)), tmp_path)
        assert adapter_parameters(shape, Training(rank=4, target_modules=tuple(names))) == trainable


def test_what_takes_more_memory_is_told_to() -> None:
    shape = PUBLISHED["bigcode/starcoder2-7b"]
    usual = training_memory(shape, Training()).total
    assert training_memory(shape, Training(method="lora")).total > usual + 8 * 2**30
    assert training_memory(shape, Training(gradient_checkpointing=False)).total > usual
    assert training_memory(shape, Training(gradient_checkpointing=False, dropout=0)).total < (
        training_memory(shape, Training(gradient_checkpointing=False)).total
    )


@pytest.mark.parametrize("name", sorted(PUBLISHED))
@pytest.mark.parametrize("memory", [16, 24, 80, 139])
def test_the_largest_batch_fits_and_a_larger_one_does_not(name: str, memory: int) -> None:
    gpu, training = Gpu("some", memory * 2**30, None), Training(gradient_accumulation=512)
    fits = largest_batch(PUBLISHED[name], training, gpu)

    def needs(batch: int) -> int:
        return training_memory(PUBLISHED[name], Training(batch_size=batch)).total

    if fits is None:
        assert needs(1) > gpu.memory
        return
    assert fits.gpu_memory == needs(fits.batch_size) <= gpu.memory
    assert fits.batch_size * fits.gradient_accumulation >= 512
    # One more block would not fit, or would not save a pass.
    assert (
        needs(fits.batch_size + 1) > gpu.memory
        or -(-512 // (fits.batch_size + 1)) <= fits.gradient_accumulation
    )


def test_a_gpu_is_known_by_its_name_or_by_its_memory(
    run_cli: RunCli, write_recipe: Callable[..., Path]
) -> None:
    assert find_gpu("RTX 4090") == find_gpu("rtx4090") == GPUS["rtx4090"]
    assert find_gpu("A100 80GB") == GPUS["a100-80gb"]
    assert find_gpu("24GB").memory == 24 * 10**9
    text = "version: 1\nname: a\nbase: {model: builtin:starter}\ndata: [{source: ./code, license: MIT}]\n"
    path = write_recipe(data=(text + "training: {sequence_length: 128, steps: 10}\n").encode())
    write_code(path.parent)
    done = run_cli("plan", path, "--gpu", "h100", "--json")
    (variant,) = json.loads(done.stdout)["variants"]
    assert variant["tokens"] == 10 * 16 * 128
    assert variant["seconds"] * variant["tokens_per_second"] == pytest.approx(variant["tokens"])
    assert variant["largest_batch"]["batch_size"] == 16
    assert variant["learning_rate"] == 2e-3
    assert "tokens/s" in run_cli("plan", path, "--gpu", "h100").stdout
    refused = run_cli("plan", path, "--gpu", "voodoo2")
    assert refused.returncode == 2
    assert "voodoo2" in refused.stderr and "rtx4090" in refused.stderr


def test_a_folder_of_the_same_name_as_a_published_model_is_looked_at(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    make_checkpoint(tmp_path / "bigcode/starcoder2-3b")
    assert base_shape(Base(model="bigcode/starcoder2-3b"), tmp_path).hidden == 256


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_can_be_planned(path: Path, run_cli: RunCli) -> None:
    done = run_cli("plan", path, "--json")
    assert done.returncode == 0, done.stderr
    (variant, *_) = json.loads(done.stdout)["variants"]
    assert variant["gpu_memory"]["total"] > 2**28
    assert variant["files"]


@pytest.mark.parametrize("options", [[], ["--json"]], ids=str)
def test_a_plan_that_does_not_fit_is_told_and_refused_with_exit_code_3(
    options: list[str], run_cli: RunCli, write_recipe: Callable[..., Path], good_recipe: str
) -> None:
    text = good_recipe.replace("./base", f"bigcode/starcoder2-15b, revision: {'a' * 40}")
    path = write_recipe(data=(text + "run: {gpu_memory: 8GB}\n").encode())
    write_code(path.parent)
    done = run_cli("plan", path, *options)
    assert done.returncode == 3
    if options:
        found = json.loads(done.stdout)
        assert found["refused"]["kind"] == "GateError"
        assert found["variants"]
    else:
        assert "15,957" in done.stdout
        assert "needs" in done.stderr
        assert "8.0 GB" in done.stderr


def test_a_file_too_large_for_the_registry_is_refused_with_exit_code_3(
    run_cli: RunCli, write_recipe: Callable[..., Path], good_recipe: str
) -> None:
    text = good_recipe.replace("./base", f"bigcode/starcoder2-15b, revision: {'a' * 40}")
    text += "publish: {reference: ghcr.io/acme/coder:1.0}\n"
    path = write_recipe(data=(text + "package: {quantizations: [Q4_K_M]}\n").encode())
    write_code(path.parent)
    assert run_cli("plan", path).returncode == 0
    write_recipe(data=(text + "package: {quantizations: [F16]}\n").encode())
    done = run_cli("plan", path)
    assert done.returncode == 3
    assert "F16 file will be 31.9 GB; ghcr.io accepts at most 10.0 GB" in done.stderr


def test_a_plan_reads_a_local_base_and_needs_no_weights(
    make_checkpoint: Callable[..., Path], tmp_path: Path, run_cli: RunCli, write_recipe: Callable[..., Path]
) -> None:
    folder = make_checkpoint(tmp_path / "base")
    (folder / "model.safetensors").unlink()
    text = (
        "version: 1\nname: a\nbase: {model: ./base, license: MIT}\ndata: [{source: ./code, license: MIT}]\n"
        "training: {sequence_length: 128}\n"
    )
    path = write_recipe(data=text.encode())
    write_code(path.parent)
    done = run_cli("plan", path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["variants"][0]["base"]["parameters"] > 10**6


def test_a_plan_refuses_data_that_is_not_there_and_blocks_that_the_base_cannot_read(
    run_cli: RunCli, write_recipe: Callable[..., Path]
) -> None:
    text = "version: 1\nname: a\nbase: {model: builtin:starter}\ndata: [{source: ./code, license: MIT}]\n"
    path = write_recipe(data=(text + "training: {sequence_length: 128}\n").encode())
    assert "data source './code' does not exist" in run_cli("plan", path).stderr
    write_code(path.parent)
    assert run_cli("plan", path).returncode == 0
    too_long = write_recipe(data=text.encode())
    done = run_cli("plan", too_long)
    assert done.returncode == 2 and "reads 1,024 tokens at most" in done.stderr
