"""A LoRA adapter in PEFT's layout: the weights it changes, and their updates.

Anything PEFT can store beyond a plain ``W + scale * B @ A`` is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from starfreight.checkpoint import Checkpoint, StoredTensor, TensorReader, read_header
from starfreight.checkpoint.files import inside
from starfreight.errors import InputError
from starfreight.files import read_json
from starfreight.packager.press.adapter_keys import OTHER_BASE, sort_tensors
from starfreight.packager.press.adapter_numbers import ModuleNumbers, read_numbers
from starfreight.packager.press.architectures import Role, architecture_plan
from starfreight.packager.press.kernels import Floats, to_float32
from starfreight.packager.press.merge import LowRank, low_rank
from starfreight.strict_json import only_exact

WEIGHTS_NAME = "adapter_model.safetensors"
CONFIG_NAME = "adapter_config.json"

_UNSUPPORTED = (
    "use_dora", "use_qalora", "use_bdlora", "lora_bias", "fan_in_fan_out", "layer_replication",
    "target_parameters", "trainable_token_indices", "alora_invocation_tokens",
    "megatron_config", "arrow_config", "kasa_config", "monteclora_config",
)  # fmt: skip
_KEYS = (
    *_UNSUPPORTED,
    "peft_type",
    "init_lora_weights",
    "r",
    "lora_alpha",
    "rank_pattern",
    "alpha_pattern",
    "use_rslora",
)
_KEEPS_BASE = (True, False, None, "gaussian", "eva", "orthogonal")
"""Initialisations that leave the base's weights unchanged. The others train against changed ones."""

_RETRAIN = "train a plain LoRA adapter: without DoRA, QALoRA, replaced tokens and the like"
_EMBEDDINGS = (Role.TOKEN_EMBEDDING, Role.POSITION_EMBEDDING)


@dataclass(frozen=True)
class Factors:
    """The location of the two factors of one weight's update.

    Attributes:
        a: shape (rank, inputs).
        b: shape (outputs, rank).
        scale: multiplier of their product.
        embedding: true for an embedding, whose update is the transposed product.
    """

    a: StoredTensor
    b: StoredTensor
    scale: float
    embedding: bool

    @property
    def rank(self) -> int:
        """The rank of the update."""
        return self.a.shape[0]


@dataclass(frozen=True)
class Adapter:
    """An adapter that fits a checkpoint.

    Attributes:
        folder: its directory.
        factors: low-rank updates, by the name of the weight in the checkpoint.
        replaced: whole tensors replacing a weight (``modules_to_save``), by the same names.
    """

    folder: Path
    factors: Mapping[str, Factors]
    replaced: Mapping[str, StoredTensor]

    def update(self, name: str, reader: TensorReader) -> LowRank | None:
        """The update of one weight, read from disk; ``None`` if the adapter does not change it.

        Raises:
            InputError: a number in the adapter is not finite.
        """
        factors = self.factors.get(name)
        if factors is None:
            return None
        a, b = self.read(factors, reader)
        return low_rank(a.T, b.T, factors.scale) if factors.embedding else low_rank(b, a, factors.scale)

    def read(self, factors: Factors, reader: TensorReader) -> tuple[Floats, Floats]:
        """``a`` and ``b`` of one update, read from disk.

        Raises:
            InputError: a number is not finite.
        """
        return _finite(reader, factors.a), _finite(reader, factors.b)


def open_adapter(folder: Path, checkpoint: Checkpoint) -> Adapter:
    """Read an adapter's config and header and check that it fits the checkpoint. Reads no weights.

    Raises:
        InputError: it is invalid, not a plain LoRA adapter, or made for another base model.
    """
    if not folder.is_dir():
        what = "is not a directory" if folder.exists() else "does not exist"
        raise InputError(f"The adapter {what}.", where=str(folder), fix="check the path")
    if not (folder / WEIGHTS_NAME).exists() and (folder / "adapter_model.bin").exists():
        raise InputError(
            "The adapter's weights are pickled, which can run arbitrary code on loading.",
            where=str(folder / "adapter_model.bin"),
            fix="if you trust its source, save it again with safe_serialization=True",
        )
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (folder / name).exists():
            raise _no_adapter(folder, name)
    path = inside(folder, CONFIG_NAME)
    config = read_json(path, 1_000_000, "adapter's config")
    if not isinstance(config, dict):
        raise InputError("The adapter's config is not a JSON object.", where=str(path), fix=_RETRAIN)
    try:
        only_exact(config, _KEYS)
    except ValueError as error:
        raise InputError(
            f"The adapter's config is ambiguous: {error}.", where=str(path), fix=_RETRAIN
        ) from error
    _check_config(path, config)
    tensors = read_header(inside(folder, WEIGHTS_NAME))
    for name, tensor in tensors.items():
        if "lora_magnitude_vector" in name:
            raise InputError("The adapter is a DoRA adapter.", where=tensor.where, fix=_RETRAIN)
    found = sort_tensors(tensors, checkpoint)
    roles = {
        plan.source: plan.role
        for plan in architecture_plan(checkpoint.architecture).tensors(checkpoint.shape)
    }
    ranks = read_numbers(path, config, "r", "rank_pattern")
    alphas = read_numbers(path, config, "lora_alpha", "alpha_pattern")
    factors = {
        f"{module}.weight": _checked_pair(config, module, pair, checkpoint, roles, ranks, alphas)
        for module, pair in found.factors.items()
    }
    replaced = {name: _checked_whole(name, tensor, checkpoint) for name, tensor in found.replaced.items()}
    if not factors and not replaced:
        raise InputError("The adapter changes no weight.", where=str(folder / WEIGHTS_NAME), fix=_RETRAIN)
    _check_tied(checkpoint, [*factors, *replaced], folder)
    return Adapter(folder, factors, replaced)


def _no_adapter(folder: Path, missing: str) -> InputError:
    within = folder / "adapter"
    return InputError(
        f"The directory is not an adapter: it has no {missing}.",
        where=str(folder),
        fix=f"name {within}"
        if (within / CONFIG_NAME).exists()
        else f"name the directory with PEFT's {CONFIG_NAME} and {WEIGHTS_NAME}",
    )


def _check_config(path: Path, config: Mapping[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise InputError(
            f"The adapter's type is {str(config.get('peft_type'))[:40]!r}, not LORA.",
            where=f"{path}: peft_type",
            fix=_RETRAIN,
        )
    for key in _UNSUPPORTED:
        if config.get(key):
            name = "DoRA (use_dora)" if key == "use_dora" else key
            raise InputError(
                f"The adapter uses {name}, which cannot be merged exactly.",
                where=f"{path}: {key}",
                fix=_RETRAIN,
            )
    start = config.get("init_lora_weights", True)
    if isinstance(start, (dict, list)) or start not in _KEEPS_BASE:
        raise InputError(
            f"The adapter was initialised with {str(start)[:40]!r}, which changes the base's weights: "
            "it does not fit the published base.",
            where=f"{path}: init_lora_weights",
            fix="save it as a plain LoRA adapter: PEFT's path_initial_model_for_weight_conversion",
        )


def _checked_pair(
    config: Mapping[str, Any],
    module: str,
    pair: Mapping[str, StoredTensor],
    checkpoint: Checkpoint,
    roles: Mapping[str, Role],
    ranks: ModuleNumbers,
    alphas: ModuleNumbers,
) -> Factors:
    embedding = "embedding_A" in pair or "embedding_B" in pair
    a, b = (pair.get("embedding_A"), pair.get("embedding_B")) if embedding else (pair.get("A"), pair.get("B"))
    any_tensor = next(iter(pair.values()))
    if a is None or b is None or len(pair) != 2:
        raise InputError(
            "The adapter has only one factor of this update.", where=any_tensor.where, fix=_RETRAIN
        )
    weight = checkpoint.tensors[f"{module}.weight"]
    if len(weight.shape) != 2:
        raise InputError(
            f"The adapter has a low-rank update of {module}, which is not a matrix in the base model.",
            where=a.where,
            fix=OTHER_BASE,
        )
    if embedding != (roles.get(f"{module}.weight") in _EMBEDDINGS):
        kinds = ("an embedding", "a linear layer")
        raise InputError(
            f"The adapter updates {module} as {kinds[not embedding]}, but in the base model it is "
            f"{kinds[embedding]}: PEFT would ignore the update.",
            where=a.where,
            fix=OTHER_BASE,
        )
    outputs, inputs = weight.shape[::-1] if embedding else weight.shape
    rank = ranks.of(module)
    if rank != int(rank) or a.shape != (rank, inputs) or b.shape != (outputs, rank):
        raise InputError(
            f"The adapter's factors have the shapes {list(b.shape)} and {list(a.shape)}; the base's weight "
            f"and the rank {rank:g} imply {[outputs, int(rank)]} and {[int(rank), inputs]}.",
            where=a.where,
            fix=OTHER_BASE,
        )
    alpha = alphas.of(module)
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Factors(a, b, scale, embedding)


def _checked_whole(name: str, tensor: StoredTensor, checkpoint: Checkpoint) -> StoredTensor:
    """A whole tensor of the adapter, of the shape of the weight that it replaces."""
    weight = checkpoint.tensors[name]
    if weight.shape != tensor.shape:
        raise InputError(
            f"The adapter's tensor has the shape {list(tensor.shape)}, the base's {list(weight.shape)}.",
            where=tensor.where,
            fix=OTHER_BASE,
        )
    return tensor


def _check_tied(checkpoint: Checkpoint, names: list[str], folder: Path) -> None:
    embedding = next(iter(checkpoint.tensors))
    if checkpoint.shape.tied and embedding in names:
        raise InputError(
            "The adapter changes the embedding, but the model's output layer is tied to it: a merge would "
            "change both.",
            where=f"{folder}: {embedding}",
            fix="remove the embedding from the target modules and modules_to_save, and train again",
        )


def _finite(reader: TensorReader, tensor: StoredTensor) -> Floats:
    values = to_float32(reader.rows(tensor, 0, tensor.shape[0]))
    if not bool(np.isfinite(values).all()):
        raise InputError("A number in the adapter is not finite.", where=tensor.where, fix=_RETRAIN)
    return values
