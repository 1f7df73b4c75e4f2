"""Dropout depends on the position in the data alone: not on processes, interruptions or recomputation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerControl, TrainerState

from starfreight.jobs.train.dropout_seeds import DropoutSeeds, seed_micro_batch
from starfreight.jobs.train.model import load_model
from starfreight.jobs.train.process_group import ProcessGroup
from starfreight.recipe import Training


def masks(count: int, step: int, seed: int = 17, accumulation: int = 4) -> dict[int, tuple[float, ...]]:
    """A dropout mask of each micro-batch of a step that so many processes share."""
    found = {}
    for rank in range(count):
        seeds = DropoutSeeds(seed, ProcessGroup(rank, rank, count))
        arguments: Any = None
        state, control = TrainerState(global_step=step), TrainerControl()
        seeds.on_step_begin(arguments, state, control)
        for micro_batch in range(rank, accumulation, count):
            found[micro_batch] = tuple(torch.nn.functional.dropout(torch.ones(99), 0.5).tolist())
            torch.rand(7 + rank)  # Something else draws numbers in between.
            seeds.on_substep_end(arguments, state, control)
    return found


def test_masks_of_a_micro_batch_are_the_same_in_whichever_process() -> None:
    assert masks(2, step=5) == masks(1, step=5)
    assert masks(4, step=5) == masks(1, step=5)


def test_each_micro_batch_step_and_seed_has_masks_of_its_own() -> None:
    found = [*masks(1, step=5).values(), *masks(1, step=6).values(), *masks(1, step=5, seed=18).values()]
    assert len(set(found)) == 12


def test_recomputed_activations_have_the_masks_of_the_forward_pass(
    bases: Mapping[str, Path], tmp_path: Path
) -> None:
    base = shutil.copytree(bases["starcoder2"], tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    names = ("attention_dropout", "residual_dropout", "embedding_dropout")
    (base / "config.json").write_text(json.dumps(config | dict.fromkeys(names, 0.2)))
    ids = torch.arange(30, 62).reshape(2, 16)
    gradients = []
    for recompute in (False, True):
        training = Training(
            method="lora", rank=4, dropout=0.2, gradient_checkpointing=recompute, learning_rate=0.01
        )
        model = load_model(base, "starcoder2", training, torch.device("cpu")).train()
        assert model.is_gradient_checkpointing == recompute
        model.enable_input_require_grads()
        seed_micro_batch(17, 3, 1)
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        found = {name: weight.grad for name, weight in model.named_parameters() if "lora_B" in name}
        assert all(gradient is not None and gradient.abs().max() > 0 for gradient in found.values())
        gradients.append(found)
    for name, gradient in gradients[0].items():
        assert torch.equal(gradient, gradients[1][name]), name
