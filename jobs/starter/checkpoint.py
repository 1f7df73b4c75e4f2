"""Training checkpoints: one safetensors file with weights, optimizer state and metadata.

Without pickle, unlike ``torch.save``: a checkpoint may come from another machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.errors import InputError
from starfreight.files import atomic_write

if TYPE_CHECKING:
    import torch

_WEIGHT = "weight/"
_OPTIMIZER = "optimizer/"


def save(
    path: Path, model: torch.nn.Module, optimizers: dict[str, torch.optim.Optimizer], about: dict[str, Any]
) -> None:
    """Write a checkpoint, atomically.

    Args:
        path: file to write.
        model: every parameter is saved unchanged.
        optimizers: by name; every tensor of their state is saved.
        about: metadata, returned by :func:`read_about`.
    """
    from safetensors.torch import save as to_bytes

    tensors = {_WEIGHT + name: value.detach() for name, value in model.named_parameters()}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for kind, optimizer in optimizers.items():
        for parameter, state in optimizer.state.items():
            for key, value in state.items():
                tensors[f"{_OPTIMIZER}{kind}/{key}/{names[id(parameter)]}"] = value.detach()
    data = to_bytes(
        {name: value.cpu().contiguous() for name, value in tensors.items()},
        metadata={"about": json.dumps(about, sort_keys=True)},
    )
    with atomic_write(path) as stream:
        stream.write(data)


def read_about(path: Path) -> dict[str, Any] | None:
    """The metadata of a checkpoint; ``None`` if the file is missing or not a checkpoint."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("about", "null"))
    except (SafetensorError, ValueError, OSError):
        return None
    return about if isinstance(about, dict) else None


def load(path: Path, model: torch.nn.Module, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    """Load a checkpoint into a model and optimizers of the same structure.

    Raises:
        InputError: it is corrupt or belongs to another model.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    parameters = dict(model.named_parameters())
    try:
        tensors = load_file(path)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[_WEIGHT + name])
        for name, value in tensors.items():
            if name.startswith(_OPTIMIZER):
                kind, key, of = name.removeprefix(_OPTIMIZER).split("/", 2)
                parameter = parameters[of]
                # AdamW keeps its step counter on the CPU.
                place = value if value.ndim == 0 else value.to(parameter.device)
                optimizers[kind].state[parameter][key] = place
    except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise InputError(
            f"The checkpoint cannot be used: {error}.", where=str(path), fix="delete it to start over"
        ) from error
