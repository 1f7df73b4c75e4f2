"""The resources of a training pod: CPUs, memory, GPUs, disk, and time to write a checkpoint.

The memory of the node, like that of the GPU, is derived from the tensors kept by the libraries. It was
compared with runs on a CPU, but not with runs on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.base_artifact import cached_base, is_artifact
from starfreight.base_model import STARTER
from starfreight.checkpoint import ModelShape
from starfreight.errors import RecipeError
from starfreight.jobs.data.sources import kind_of
from starfreight.jobs.planning.gpu_memory import adapter_parameters, training_memory
from starfreight.jobs.planning.model_shapes import PUBLISHED, base_shape
from starfreight.recipe import Recipe

_GIB = 2**30
_MIB = 2**20
_CPUS_PER_GPU = 4
"""One for the training process of each GPU, the others for the processes that make blocks of the data."""
_LIBRARIES = 1.5 * _GIB
"""Python, torch and transformers in one process, without CUDA."""
_CUDA = 4.0 * _GIB
"""CUDA's libraries and pinned memory, for each process."""
_DATA_WORKER = 0.5 * _GIB
"""A process that makes blocks of the data."""
_ADAM_BYTES = 8
"""For each parameter of the adapter on a CPU: AdamW's two moments in float32."""
_SAVED_BYTES = 12
"""For each parameter of the adapter in a checkpoint: itself and both moments in float32."""
_SLOW_VOLUME = 20 * 10**6
"""Bytes per second of a shared network volume."""
_LEAST_GRACE, _MOST_GRACE = 120, 300
_SCRATCH = 2 * _GIB
"""Logs, compiled kernels and temporary files."""
_TOKEN_BLOCKS = 2 * _GIB
"""Disk space for the token blocks of a run, whose size is unknown before its data is read."""
_FETCHED_SOURCE = 10 * _GIB
"""Disk space for a fetched source, whose size is unknown before the fetch."""
_DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True)
class PodResources:
    """The resources requested by one pod.

    Attributes:
        cpus: in whole CPUs.
        threads: of each training process.
        memory: in bytes, including ``shared_memory``.
        gpus: number of GPUs.
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
    """Return the resources of a pod for training one variant; values given by the recipe take precedence.

    Args:
        recipe: without a sweep.
        folder: the base of its relative paths, if they exist on this machine. Nothing is
            fetched.

    Raises:
        RecipeError: GPUs are given by number, or the shape of the base model is unknown and the recipe does
            not give the memory of a pod.
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
                f"The memory for {recipe.base.model!r} is unknown: its config.json is not on this machine.",
                where="key base.model",
                fix="set run.memory (option --memory), or copy that file into a directory of that name",
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
    """Return the number of GPUs of a pod, 1 by default.

    Raises:
        RecipeError: the recipe asks for all GPUs or for certain ones: a cluster only allocates a number of
            them.
    """
    gpus = recipe.run.gpus
    if gpus is None:
        return 1
    if isinstance(gpus, int):
        return gpus
    raise RecipeError(
        "A cluster allocates a number of GPUs, not all of them or certain ones.",
        where="key run.gpus, or option --gpus",
        fix="give a number, such as --gpus 1; node_selector chooses the type of node",
    )


def known_shape(recipe: Recipe, folder: Path) -> ModelShape | None:
    """Return the shape of the base model, or ``None`` if this machine does not have it; nothing is fetched.

    Raises:
        InputError: its directory is here, but the ``config.json`` in it is not that of a supported model.
    """
    model = recipe.base.model
    is_cached = is_artifact(model) and cached_base(model, weights=False) is not None
    if is_cached or model == STARTER or model in PUBLISHED or (folder / model / "config.json").is_file():
        return base_shape(recipe.base, folder)
    return None


def base_is_fetched(model: str, folder: Path) -> bool:
    """Return true if a base model is fetched from the hub: the data volume has no directory of its name."""
    return not model.startswith(("builtin:", ".", "/", "~")) and not (folder / model).is_dir()


def _memory(recipe: Recipe, shape: ModelShape, gpus: int, cpus: int) -> float:
    training = recipe.training
    adapter = adapter_parameters(shape, training)
    workers = cpus * _DATA_WORKER
    if gpus:
        # The base model takes no memory: its file is mapped and copied to the GPU tensor by tensor.
        needed = training_memory(shape, training)
        return gpus * (_LIBRARIES + _CUDA + adapter * _ADAM_BYTES) + workers + needed.embeddings
    return workers + training_memory_on_cpu(recipe, shape)


def training_memory_on_cpu(recipe: Recipe, shape: ModelShape) -> float:
    """Return the bytes of memory of a process that trains without a GPU."""
    training = recipe.training
    if training.gradient_checkpointing == "auto":
        training = training.model_copy(update={"gradient_checkpointing": False})
    needed = training_memory(shape, training)
    # On a CPU activations and logits are in float32, twice as large.
    optimizer = adapter_parameters(shape, training) * _ADAM_BYTES
    kept = needed.weights + needed.embeddings + needed.adapter + optimizer
    return _LIBRARIES + kept + 2 * (needed.activations + needed.logits)


def _ephemeral_storage(recipe: Recipe, folder: Path, shape: ModelShape | None) -> int:
    sources = [each.source for each in recipe.data]
    remote = sum(kind_of(source, folder / source).is_remote(source) for source in sources)
    fetched = remote * _FETCHED_SOURCE
    if base_is_fetched(recipe.base.model, folder):
        if shape is None:
            raise RecipeError(
                f"The size of {recipe.base.model!r} is unknown, and the pod has to fetch it.",
                where="key base.model",
                fix="set run.kubernetes.ephemeral_storage, such as 50GB, or put the model on the data claim",
            )
        fetched += _DTYPE_BYTES[shape.dtype] * shape.parameters
    runs = _runs_space(recipe, shape) if recipe.run.kubernetes.runs_claim is None else 0
    return _whole(_SCRATCH + fetched + runs, 256 * _MIB)


def _runs_space(recipe: Recipe, shape: ModelShape | None) -> float:
    """Disk space for the run and the package of a pod without a volume for them."""
    training, packages = recipe.training, recipe.run.kubernetes.until != "train"
    if shape is None:
        raise RecipeError(
            f"The size of {recipe.base.model!r} is unknown, and the pod keeps its run on the node's disk.",
            where="key base.model",
            fix="set run.kubernetes.ephemeral_storage, such as 50GB",
        )
    # One more checkpoint is being written; the best adapter and the last one are smaller.
    kept = (training.checkpoints_kept + 3) * _SAVED_BYTES * adapter_parameters(shape, training)
    # No variant is larger than the base model in 16 bits; one more is the merged model.
    variants = (len(recipe.package.quantizations) + 1) * 2 * shape.parameters if packages else 0
    return _TOKEN_BLOCKS + kept + variants


def _whole(amount: float, unit: int) -> int:
    """Round up to a whole number of units."""
    return -int(-amount // unit) * unit
