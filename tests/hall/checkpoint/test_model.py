"""A base model's folder is taken only when config, index and weights agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starfreight.checkpoint import TensorReader, checkpoint_files, open_checkpoint
from starfreight.errors import InputError


@pytest.fixture
def base(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A small StarCoder2 in one file."""
    return make_checkpoint(tmp_path / "base", hidden=64, ffn=128)


@pytest.fixture
def sharded(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """The same in three files."""
    return make_checkpoint(tmp_path / "sharded", hidden=64, ffn=128, shards=3)


def edit(path: Path, **changes: Any) -> None:
    """Changes keys of a JSON file; ``...`` takes one out."""
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}))


def refused(folder: Path) -> InputError:
    """The error that opening the folder ends with."""
    with pytest.raises(InputError) as caught:
        open_checkpoint(folder)
    assert caught.value.where
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize("tied", [True, False])
def test_what_transformers_saves_can_be_opened(
    architecture: str, tied: bool, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    made = make_checkpoint(tmp_path / "made", architecture, hidden=64, ffn=256, tied=tied)
    model = AutoModelForCausalLM.from_pretrained(made, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "saved", max_shard_size="60KB")
    ours, theirs = open_checkpoint(made), open_checkpoint(tmp_path / "saved")
    assert theirs.shape == ours.shape
    assert theirs.shape.parameters == model.num_parameters()
    assert theirs.architecture == architecture
    assert theirs.shape.dtype == "BF16"
    assert len({tensor.file for tensor in theirs.tensors.values()}) > 1


def test_rope_theta_is_found_in_both_places(base: Path) -> None:
    edit(base / "config.json", rope_theta=77.0)
    assert open_checkpoint(base).shape.rope_theta == 77.0
    edit(base / "config.json", rope_theta=..., rope_parameters={"rope_type": "default", "rope_theta": 88.0})
    assert open_checkpoint(base).shape.rope_theta == 88.0


def test_an_architecture_we_do_not_know_is_refused_with_those_we_do(base: Path) -> None:
    edit(base / "config.json", model_type="llama")
    error = refused(base)
    assert "'llama'" in error.what
    assert "starcoder2, gpt_bigcode" in str(error.fix)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("starcoder2", {"num_hidden_layers": 0}),
        ("starcoder2", {"num_hidden_layers": 1001}),
        ("starcoder2", {"num_hidden_layers": 2.0}),
        ("starcoder2", {"num_hidden_layers": True}),
        ("starcoder2", {"hidden_size": -64}),
        ("starcoder2", {"hidden_size": 10**12}),
        ("starcoder2", {"num_attention_heads": 3}),
        ("starcoder2", {"num_key_value_heads": 3}),
        ("starcoder2", {"vocab_size": "400"}),
        ("starcoder2", {"norm_epsilon": 0}),
        ("starcoder2", {"norm_epsilon": float("nan")}),
        ("starcoder2", {"rope_theta": float("inf")}),
        ("starcoder2", {"rope_parameters": {"rope_type": "yarn", "factor": 2}}),
        ("starcoder2", {"rope_scaling": {"type": "linear"}}),
        ("starcoder2", {"use_bias": False}),
        ("starcoder2", {"hidden_act": "silu"}),
        ("starcoder2", {"tie_word_embeddings": "yes"}),
        ("starcoder2", {"dtype": "float64"}),
        ("starcoder2", {"quantization_config": {"bits": 4}}),
        ("starcoder", {"multi_query": False}),
        ("starcoder", {"n_inner": 0}),
        ("starcoder", {"n_positions": 0}),
        ("starcoder", {"activation_function": "relu"}),
    ],
)
def test_a_config_that_no_model_has_is_refused(
    architecture: str, changes: dict[str, Any], make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path / "base", architecture, hidden=64, ffn=128)
    edit(folder / "config.json", **changes)
    assert "config.json" in str(refused(folder).where)


def test_a_config_of_another_size_names_the_first_tensor_that_differs(base: Path) -> None:
    edit(base / "config.json", intermediate_size=256)
    error = refused(base)
    assert "[128, 64]" in error.what
    assert "[256, 64]" in error.what
    assert str(error.where).endswith("model.safetensors: model.layers.0.mlp.c_fc.weight")


def test_missing_and_unexpected_tensors_are_named(base: Path) -> None:
    edit(base / "config.json", num_hidden_layers=3)
    assert "model.layers.2.input_layernorm.weight" in str(refused(base).where)
    edit(base / "config.json", num_hidden_layers=1)
    error = refused(base)
    assert "does not belong" in error.what
    assert "model.layers.1." in str(error.where)


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_an_exact_copy_of_a_tied_output_layer_is_passed_over_and_another_one_refused(
    architecture: str, make_checkpoint: Callable[..., Path], save_tensors: Callable[..., None], tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path / "base", architecture, hidden=64, ffn=256, dtype="F32")
    tensors = read_tensors(folder)
    embedding = next(iter(open_checkpoint(folder).tensors))
    values = tensors[embedding][1]
    save_tensors(folder / "model.safetensors", tensors | {"lm_head.weight": ("F32", values)})
    assert "lm_head.weight" not in open_checkpoint(folder).tensors
    other = values.copy()
    other[-1, -1] += 1
    save_tensors(folder / "model.safetensors", tensors | {"lm_head.weight": ("F32", other)})
    error = refused(folder)
    assert "ties the output layer" in error.what
    assert "tie_word_embeddings" in str(error.fix)
    save_tensors(folder / "model.safetensors", tensors | {"lm_head.weight": ("F32", values[:-1])})
    assert "ties the output layer" in refused(folder).what
    # The config's default is tied, in transformers too.
    save_tensors(folder / "model.safetensors", tensors | {"lm_head.weight": ("F32", other)})
    edit(folder / "config.json", tie_word_embeddings=...)
    assert "ties the output layer" in refused(folder).what
    edit(folder / "config.json", tie_word_embeddings=False)
    assert "lm_head.weight" in open_checkpoint(folder).tensors


def read_tensors(folder: Path) -> dict[str, tuple[str, Any]]:
    """The float32 weights of a model in one file."""
    found: dict[str, tuple[str, Any]] = {}
    with TensorReader() as reader:
        for name, tensor in open_checkpoint(folder).tensors.items():
            rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
            found[name] = ("F32", reader.rows(tensor, 0, rows).reshape(tensor.shape))
    return found


@pytest.mark.parametrize("beside", ["model.safetensors", "model-00001-of-00004.safetensors"])
def test_two_sets_of_weights_are_refused_whichever_a_loader_would_prefer(
    base: Path, sharded: Path, beside: str
) -> None:
    (sharded / beside).write_bytes((base / "model.safetensors").read_bytes())
    error = refused(sharded)
    assert "two sets of weights" in error.what
    assert beside in error.what
    assert "remove" in str(error.fix)
    with pytest.raises(InputError, match="two sets of weights"):
        checkpoint_files(sharded)
    if beside != "model.safetensors":
        (base / beside).write_bytes((base / "model.safetensors").read_bytes())
        assert "model.safetensors, and model-00001-of-00004.safetensors" in refused(base).what


def test_an_index_of_a_single_file_is_no_second_set(base: Path) -> None:
    names = list(open_checkpoint(base).tensors)
    index = {"weight_map": dict.fromkeys(names, "model.safetensors")}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    assert list(open_checkpoint(base).tensors) == names


def test_an_adapter_beside_the_weights_is_refused(base: Path) -> None:
    (base / "adapter_config.json").write_text("{}")
    error = refused(base)
    assert "adapter" in error.what
    assert "merge_and_unload" in str(error.fix)


def test_weights_of_another_kind_are_refused(
    base: Path, save_tensors: Callable[..., None], tmp_path: Path
) -> None:
    tensors = {
        name: ("I8", np.zeros(tensor.shape, np.int8))
        for name, tensor in open_checkpoint(base).tensors.items()
    }
    save_tensors(base / "model.safetensors", tensors)
    assert "I8" in refused(base).what


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt", "m.pth"]
)
def test_pickled_weights_are_refused_with_the_way_out(base: Path, name: str) -> None:
    (base / "model.safetensors").rename(base / name)
    error = refused(base)
    assert "pickled" in error.what
    assert name in error.what
    assert "save_pretrained" in str(error.fix)


def test_a_folder_without_weights_or_config_is_refused(base: Path, tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "nowhere").what
    assert "not a directory" in refused(base / "config.json").what
    (base / "model.safetensors").unlink()
    assert "neither" in refused(base).what
    (base / "config.json").unlink()
    assert "config.json" in refused(base).what


def test_a_config_of_a_gigabyte_is_not_read(base: Path) -> None:
    with (base / "config.json").open("r+b") as stream:
        stream.truncate(1 << 30)
    assert "larger than" in refused(base).what


def index_of(folder: Path) -> tuple[Path, dict[str, str]]:
    """The index of a sharded model."""
    path = folder / "model.safetensors.index.json"
    return path, json.loads(path.read_text())["weight_map"]


def test_a_missing_shard_is_named(sharded: Path) -> None:
    (sharded / "model-1.safetensors").unlink()
    assert "model-1.safetensors" in refused(sharded).what


def test_a_tensor_that_is_not_in_its_shard_is_named(sharded: Path) -> None:
    path, weight_map = index_of(sharded)
    name = next(name for name, file in weight_map.items() if file == "model-2.safetensors")
    edit(path, weight_map=weight_map | {name: "model-0.safetensors"})
    error = refused(sharded)
    assert "model-0.safetensors holds this tensor, but it does not" in error.what
    assert name in str(error.where)


def test_a_tensor_that_the_index_does_not_list_is_named(sharded: Path) -> None:
    path, weight_map = index_of(sharded)
    del weight_map["model.norm.bias"]
    edit(path, weight_map=weight_map)
    error = refused(sharded)
    assert "does not list" in error.what
    assert "model.norm.bias" in str(error.where)


def test_a_tensor_in_two_shards_is_named(sharded: Path) -> None:
    (sharded / "model-0.safetensors").write_bytes((sharded / "model-1.safetensors").read_bytes())
    assert "Two files hold the same tensor" in refused(sharded).what


@pytest.mark.parametrize(
    "name", ["../base/model.safetensors", "/etc/passwd", "a/b.safetensors", "x.bin", "..safetensors", 5, ""]
)
def test_an_index_cannot_name_files_elsewhere(base: Path, sharded: Path, name: object) -> None:
    path, weight_map = index_of(sharded)
    edit(path, weight_map=weight_map | {"model.norm.bias": name})
    error = refused(sharded)
    assert "plain name" in error.what
    assert "model.norm.bias" in str(error.where)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}'],
)
def test_an_index_that_is_not_sound_is_refused(sharded: Path, text: str) -> None:
    path, _ = index_of(sharded)
    path.write_text(text)
    assert "index" in refused(sharded).what


def test_the_files_of_a_model_are_listed_and_no_others(base: Path, sharded: Path) -> None:
    for name in (
        "LICENSE",
        "LICENSE.md",
        "NOTICE",
        "README.md",
        "train.py",
        "pytorch_model.bin",
        "generation_config.json",
    ):
        (base / name).write_text("{}")
    (base / "runs").mkdir()
    assert [path.name for path in checkpoint_files(base)] == [
        "LICENSE", "LICENSE.md", "NOTICE", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert [path.name for path in checkpoint_files(sharded)] == [
        "config.json", "model-0.safetensors", "model-1.safetensors", "model-2.safetensors",
        "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


def test_links_of_the_hub_cache_are_followed(base: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--x" / "snapshots" / "abc", tmp_path / "models--x" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(base.iterdir())):
        path.rename(blobs / f"{number}")
        (snapshot / path.name).symlink_to(Path("../../blobs") / f"{number}")
    assert open_checkpoint(snapshot).shape.hidden == 64
    assert len(checkpoint_files(snapshot)) == 4


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "LICENSE"])
def test_links_out_of_the_folder_are_refused(base: Path, name: str, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    outside = tmp_path / "blobs" / "x"
    if (base / name).exists():
        (base / name).rename(outside)
    else:
        outside.write_text("text")
    (base / name).symlink_to(outside)
    with pytest.raises(InputError, match="leads out"):
        open_checkpoint(base)
        checkpoint_files(base)


def test_links_inside_the_folder_are_followed_and_loops_refused(base: Path) -> None:
    (base / "config.json").rename(base / "real.json")
    (base / "config.json").symlink_to("real.json")
    assert open_checkpoint(base).shape.layers == 2
    (base / "config.json").unlink()
    (base / "config.json").symlink_to("config.json")
    assert "config.json" in refused(base).what
