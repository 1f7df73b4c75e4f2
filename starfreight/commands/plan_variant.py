"""One variant of a recipe as the planner sees it: figures for ``--json``, and the same as text."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import human_count
from starfreight.recipe import Recipe

if TYPE_CHECKING:
    from starfreight.jobs.planning.gpus import Gpu

_DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_CHECKPOINT_BYTES = 12
"""For each parameter of the adapter: itself and AdamW's two moments in float32; the 8-bit ones take less."""

_BLOCK_BYTES = 5
"""For each token on disk: its id and what is known of it."""


def plan_variant(recipe: Recipe, folder: Path, gpu: Gpu | None) -> dict[str, Any]:
    """What one variant costs.

    Args:
        recipe: without a sweep.
        folder: where its relative paths start.
        gpu: what to fit it into; the recipe's ``run.gpu_memory`` when ``None``.

    Raises:
        RecipeError: the recipe names something that is not there, or that the base model cannot do.
    """
    from starfreight.base_model import STARTER, known_license
    from starfreight.jobs.data.sources import check_source, naming_source
    from starfreight.jobs.planning import base_shape, training_memory
    from starfreight.jobs.planning.gpus import Gpu
    from starfreight.jobs.planning.memory import adapter_parameters
    from starfreight.jobs.planning.proposal import largest_batch
    from starfreight.jobs.planning.time import tokens_per_second
    from starfreight.jobs.prepare.defaults import with_defaults
    from starfreight.jobs.prepare.prepare_runs import check_training
    from starfreight.packager.press import predict_size

    shape = base_shape(recipe.base, folder)
    check_training(recipe.training, shape)
    for number, source in enumerate(recipe.data):
        with naming_source(number):
            check_source(source, folder)
    recipe = with_defaults(recipe, shape)
    training, shipped = recipe.training, recipe.package
    if gpu is None and recipe.run.gpu_memory is not None:
        gpu = Gpu("run.gpu_memory", recipe.run.gpu_memory, None)
    memory = training_memory(shape, training)
    adapter = adapter_parameters(shape, training)
    imatrix = shipped.imatrix is not None
    files = {name.value: predict_size(shape, name, imatrix=imatrix) for name in shipped.quantizations}
    if shipped.ship == "adapter":
        files["LoRA"] = 2 * adapter  # As F16.
    in_step = training.batch_size * training.gradient_accumulation * training.sequence_length
    tokens = in_step * training.steps if training.steps else None
    rate = tokens_per_second(shape, training, gpu) if gpu else None
    fits = largest_batch(shape, training, gpu) if gpu else None
    has_text = recipe.base.model == STARTER or bool(shipped.license_files)
    disk = {
        "base": _DTYPE_BYTES[shape.dtype] * shape.parameters,
        "data": _BLOCK_BYTES * (tokens or 0),
        "checkpoints": (training.checkpoints_kept + 1) * adapter * _CHECKPOINT_BYTES,
        "adapter": 8 * adapter,  # The last one, and the best one so far.
        "package": sum(files.values()),
    }
    return {
        "name": recipe.name,
        "base": {"model": recipe.base.model, "parameters": shape.parameters},
        "adapter_parameters": adapter,
        "learning_rate": training.learning_rate,
        "gpu_memory": {**asdict(memory), "total": memory.total},
        "gpu": {"name": gpu.name, "memory": gpu.memory} if gpu else None,
        "largest_batch": asdict(fits) if fits else None,
        "tokens": tokens,
        "tokens_per_second": rate,
        "seconds": tokens / rate if tokens and rate else None,
        "files": files,
        "disk": {**disk, "total": sum(disk.values())},
        "license": {
            "name": shipped.license or known_license(recipe.base),
            "duty": None
            if has_text
            else "the license's text must be shipped: name it in package.license_files, "
            "unless the base model's folder has a LICENSE file",
        },
    }


def variant_text(plan: dict[str, Any]) -> str:
    """A variant's figures for people."""
    memory, gpu, fits = plan["gpu_memory"], plan["gpu"], plan["largest_batch"]
    lines = [
        f"{plan['name']}: {plan['base']['model']}, {plan['base']['parameters']:,} parameters, "
        f"an adapter of {plan['adapter_parameters']:,}",
        f"  GPU memory to train     {_size(memory['total'])}   (derived, not measured on a GPU)",
        *_parts(memory),
    ]
    if gpu is not None:
        lines.append(f"  {gpu['name']:23} {_size(gpu['memory'])}")
        lines.append(
            "    not even one block of training.sequence_length tokens fits"
            if fits is None
            else f"    largest batch that fits: {fits['batch_size']}, with gradient_accumulation "
            f"{fits['gradient_accumulation']}: {_size(fits['gpu_memory']).strip()}"
        )
    lines += ["  time", *_time(plan), f"  disk                    {_size(plan['disk']['total'])}"]
    lines += [*_parts(plan["disk"]), "  files to ship", *_parts(plan["files"])]
    lines.append(f"  license  {plan['license']['name'] or 'of the base model: name it in base.license'}")
    if plan["license"]["duty"]:
        lines.append(f"    duty: {plan['license']['duty']}")
    return "\n".join(lines)


def _time(plan: dict[str, Any]) -> list[str]:
    tokens, rate = plan["tokens"], plan["tokens_per_second"]
    lines = [f"    {tokens:,} tokens to train on" if tokens else "    as many tokens as the data has"]
    if rate is None:
        lines.append("    how long that takes depends on the GPU: name it with --gpu")
    else:
        whole = f", {_long(plan['seconds'])} in all" if plan["seconds"] else ""
        lines.append(f"    about {rate:,.0f} tokens/s{whole}   (assumed: 35% of the GPU's peak)")
    return lines


def _long(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:,.1f} hours"


def _parts(amounts: dict[str, int]) -> list[str]:
    return [
        f"    {name:21} {_size(amount)}" for name, amount in amounts.items() if name != "total" and amount
    ]


def _size(amount: int) -> str:
    return f"{human_count(amount, 'B'):>10}"
