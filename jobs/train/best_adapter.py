"""The adapter with the lowest held-out loss so far, kept beside the checkpoints until the run ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.files import read_json, sha256_bytes, sha256_file, write_bytes, write_json

BEST_FOLDER = "best"
"""Subdirectory of the checkpoint directory."""

_WEIGHTS = f"{BEST_FOLDER}/adapter_model.safetensors"
_RECORD = f"{BEST_FOLDER}/step.json"


@dataclass(frozen=True)
class BestAdapter:
    """The measurement behind the best adapter.

    Attributes:
        step: number of steps trained.
        loss: on the held-out data, in nats per token.
    """

    step: int
    loss: float


def keep_if_best(model: Any, folder: Path, step: int, loss: float) -> None:
    """Save the adapter if its held-out loss is the lowest so far; on a tie the earlier one stays.

    Args:
        model: the PEFT model.
        folder: the checkpoint directory.
        step: number of steps trained.
        loss: on the held-out data, in nats per token.
    """
    before = best_so_far(folder)
    if before is not None and before.loss <= loss and before.step != step:
        return
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    data = save({name: tensor.contiguous() for name, tensor in get_peft_model_state_dict(model).items()})
    # The record is valid only with the weights it names, so a kill between the two writes is harmless.
    write_bytes(folder / _WEIGHTS, data, below=folder)
    write_json(folder / _RECORD, {"step": step, "loss": loss, "digest": sha256_bytes(data)}, below=folder)


def best_so_far(folder: Path) -> BestAdapter | None:
    """The best measurement, ``None`` unless its adapter is present and intact."""
    try:
        record = read_json(folder / _RECORD, 1 << 16, "record of the best adapter")
        if sha256_file(folder / _WEIGHTS) != record["digest"]:
            return None
        return BestAdapter(int(record["step"]), float(record["loss"]))
    except (InputError, OSError, KeyError, TypeError, ValueError):
        return None
