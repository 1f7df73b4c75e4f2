"""Training loads exactly the tensors that were hashed and that the press reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.errors import InputError
from starfreight.jobs.train.base_weights import load_base, transformers_config
from starfreight.jobs.train.model import _precision, load_model
from starfreight.recipe import Training

torch = pytest.importorskip("torch")

MakeCheckpoint = Callable[..., Path]
CPU = torch.device("cpu")


@pytest.mark.parametrize("method", ["lora", "qlora"])
@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_sound_directory_gives_the_model_of_from_pretrained_bit_by_bit(
    architecture: str,
    method: Literal["lora", "qlora"],
    tied: bool,
    make_checkpoint: MakeCheckpoint,
    tmp_path: Path,
) -> None:
    from transformers import AutoModelForCausalLM

    folder = make_checkpoint(
        tmp_path / "base", architecture, hidden=64, ffn=256, tied=tied, dtype="F32", shards=3
    )
    options: dict[str, Any] = {
        "device_map": {"": CPU}, "attn_implementation": "sdpa",
        **_precision(Training(method=method), on_gpu=False),
    }  # fmt: skip
    ours = load_base(open_checkpoint(folder), **options)
    theirs = AutoModelForCausalLM.from_pretrained(folder, **options)
    mine, wanted = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(wanted)
    assert all(torch.equal(mine[name], wanted[name]) for name in wanted)
    assert (ours.lm_head.weight is ours.get_input_embeddings().weight) is tied
    ids = torch.arange(7, 107).reshape(2, 50)
    losses = []
    for model in (ours, theirs):
        torch.manual_seed(1)
        losses.append(model.train()(input_ids=ids, labels=ids, use_cache=False).loss.item())
    assert losses[0] == losses[1]


def test_keys_outside_the_reading_do_not_reach_transformers(
    bases: Mapping[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(bases["starcoder2"], tmp_path / "base"))
    path = folder / "config.json"
    plain = transformers_config(open_checkpoint(folder)).to_dict()
    config = json.loads(path.read_text())
    more = {
        "return_dict": False,
        "output_hidden_states": True,
        "fusion_config": {"x": True},
        "pad_token_id": 10**6,
    }
    path.write_text(json.dumps(config | more))
    assert transformers_config(open_checkpoint(folder)).to_dict() == plain


def test_the_config_of_training_has_the_window_and_the_dropout_of_the_directory(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    folder = make_checkpoint(tmp_path / "base", hidden=64, ffn=128)
    path = folder / "config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"sliding_window": 48, "residual_dropout": 0.25})
    )
    config = transformers_config(open_checkpoint(folder))
    assert (config.sliding_window, config.residual_dropout) == (48, 0.25)
    v1 = transformers_config(open_checkpoint(make_checkpoint(tmp_path / "v1", "starcoder", hidden=64)))
    assert (v1.resid_pdrop, v1.attn_pdrop, v1.embd_pdrop) == (0.1, 0.1, 0.1)


def test_a_second_set_of_weights_is_not_loaded(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "base", hidden=64, ffn=128, shards=2)
    single = make_checkpoint(tmp_path / "single", hidden=64, ffn=128, seed=1)
    shutil.copy(single / "model.safetensors", folder)
    with pytest.raises(InputError, match="two sets of weights"):
        load_model(folder, "starcoder2", Training(), CPU)


def test_a_weight_that_transformers_leaves_out_is_an_error(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    from dataclasses import replace

    checkpoint = open_checkpoint(make_checkpoint(tmp_path / "base", hidden=64, ffn=128))
    tensors = dict(checkpoint.tensors)
    del tensors["model.norm.weight"]
    with pytest.raises(InputError, match="missing keys") as caught:
        load_base(replace(checkpoint, tensors=tensors), dtype=torch.float32)
    assert "model.norm.weight" in str(caught.value.where)
