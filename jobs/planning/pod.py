"""What a pod needs to train a recipe: CPUs, memory, GPUs, disk, and time to write a checkpoint.

The memory of the machine, as that of the GPU, is derived from what the libraries keep; it was compared with
runs on a CPU, and not with any on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.base_model import STARTER
from starfreight.checkpoint import ModelShape
from starfreight.errors import RecipeError
from starfreight.jobs.planning.memory import adapter_parameters, training_memory
from starfreight.jobs.planning.shapes import PUBLISHED, base_shape
from starfreight.recipe import Recipe

_GIB = 2**30
_MIB = 2**20
_CPUS_PER_GPU = 4
"""One for the process of each GPU, the others for making blocks of the data."""
_LIBRARIES = 1.5 * _GIB
"""Python, torch and transformers in one process, without CUDA."""
_CUDA = 4.0 * _GIB
"""CUDA's libraries and pinned memory, for each process."""
_DATA_WORKER = 0.5 * _GIB
_ADAM_BYTES = 8
"""For each parameter of the adapter on a CPU: AdamW's two moments in float32."""
_SAVED_BYTES = 12
"""For each parameter of the adapter in a checkpoint: itself and both moments in float32."""
_SLOW_VOLUME = 20 * 10**6
"""Bytes a second: a network volume that others write to, too."""
_LEAST_GRACE, _MOST_GRACE = 120, 300
_SCRATCH = 2 * _GIB
"""Logs, and what libraries compile or write to /tmp."""
_FETCHED_SOURCE = 10 * _GIB
"""Room for a source that is fetched: its size is known to whoever keeps it."""
_DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True)
class PodResources:
    """What one pod asks for.

    Attributes:
        cpus: in whole CPUs.
        threads: of each training process.
        memory: in bytes, with ``shared_memory`` in it.
        gpus: how many.
        shared_memory: the size of ``/dev/shm`` in bytes.
        ephemeral_storage: the node's disk, in bytes.
        checkpoint_grace: seconds from SIGTERM to SIGKILL.
    """

    cpus: int
    threads: int
    memory: int
    gpus: int
    shared_memory: int
    ephemeral_storage: int
    checkpoint_grace: int


def plan_pod(recipe: Recipe, folder: Path) -> PodResources:
    """What a pod needs that trains one variant; what the recipe says itself comes first.

    Args:
        recipe: without a sweep.
        folder: where its relative paths start, when they are on this machine, too. Nothing is fetched.

    Raises:
        RecipeError: GPUs are named one by one, or the base model's shape is not known here and the recipe
            does not say how much memory a pod needs.
    """
    options = recipe.run.kubernetes
    gpus = gpu_count(recipe)
    threads = recipe.run.threads or (options.cpus or _CPUS_PER_GPU * gpus or 1) // max(1, gpus) or 1
    cpus = options.cpus or threads * max(1, gpus)
    shared = options.shared_memory or (_GIB * gpus if gpus else 64 * _MIB)
    shape = known_shape(recipe, folder)
    memory = recipe.run.memory
    if memory is None:
        if shape is None:
            raise RecipeError(
                f"How much memory {recipe.base.model!r} needs is not known: it has no config.json here.",
                where="key base.model",
                fix="set run.memory (option --memory), or keep a copy of that file in a folder of that name",
            )
        memory = _whole(_memory(recipe, shape, gpus, cpus) + shared, 256 * _MIB)
    adapter = 0 if shape is None else adapter_parameters(shape, recipe.training)
    seconds = _LEAST_GRACE + _SAVED_BYTES * adapter / _SLOW_VOLUME
    return PodResources(
        cpus=cpus,
        threads=threads,
        memory=memory,
        gpus=gpus,
        shared_memory=shared,
        ephemeral_storage=options.ephemeral_storage or _ephemeral_storage(recipe, folder, shape),
        checkpoint_grace=options.checkpoint_grace or min(_MOST_GRACE, round(seconds)),
    )


def gpu_count(recipe: Recipe) -> int:
    """The GPUs of a pod: one when the recipe does not say.

    Raises:
        RecipeError: they are named one by one, or all are asked for: a cluster hands out a number of them.
    """
    asked = recipe.run.gpus
    if asked is None:
        return 1
    if isinstance(asked, int):
        return asked
    raise RecipeError(
        "A cluster hands out a number of GPUs, neither all of them nor certain ones.",
        where="key run.gpus, or option --gpus",
        fix="say how many, such as --gpus 1; node_selector chooses the kind of node",
    )


def known_shape(recipe: Recipe, folder: Path) -> ModelShape | None:
    """The shape of the base model as far as this machine knows it; nothing is fetched.

    Raises:
        InputError: its folder is here, and the ``config.json`` in it is not one of a supported model.
    """
    model = recipe.base.model
    if model == STARTER or model in PUBLISHED or (folder / model / "config.json").is_file():
        return base_shape(recipe.base, folder)
    return None


def is_fetched(source: str) -> bool:
    """Whether a source of data comes over the network."""
    if source.startswith("dataset:"):
        return not source.removeprefix("dataset:").startswith((".", "/", "~"))
    return source.startswith(("git:", "oci://"))


def base_is_fetched(model: str, folder: Path) -> bool:
    """Whether a base model comes from the hub, unless the volume with the data has it under its name."""
    return not model.startswith(("builtin:", ".", "/", "~")) and not (folder / model).is_dir()


def _memory(recipe: Recipe, shape: ModelShape, gpus: int, cpus: int) -> float:
    training = recipe.training
    adapter = adapter_parameters(shape, training)
    workers = cpus * _DATA_WORKER
    if gpus:
        # The base model passes through: its file is mapped, and each tensor goes to the GPU by itself.
        needed = training_memory(shape, training)
        return gpus * (_LIBRARIES + _CUDA + adapter * _ADAM_BYTES) + workers + needed.embeddings
    if training.gradient_checkpointing == "auto":
        training = training.model_copy(update={"gradient_checkpointing": False})
    needed = training_memory(shape, training)
    # Activations and logits are in float32 here, twice as large.
    kept = needed.weights + needed.embeddings + needed.adapter + adapter * _ADAM_BYTES
    return _LIBRARIES + workers + kept + 2 * (needed.activations + needed.logits)


def _ephemeral_storage(recipe: Recipe, folder: Path, shape: ModelShape | None) -> int:
    fetched = sum(is_fetched(source.source) for source in recipe.data) * _FETCHED_SOURCE
    if base_is_fetched(recipe.base.model, folder):
        if shape is None:
            raise RecipeError(
                f"How large {recipe.base.model!r} is is not known here, and the pod has to fetch it.",
                where="key base.model",
                fix="set run.kubernetes.ephemeral_storage, such as 50GB, or put the model on the data claim",
            )
        fetched += _DTYPE_BYTES[shape.dtype] * shape.parameters
    return _whole(_SCRATCH + fetched, 256 * _MIB)


def _whole(amount: float, unit: int) -> int:
    """Rounded up to a whole number of units."""
    return -int(-amount // unit) * unit
