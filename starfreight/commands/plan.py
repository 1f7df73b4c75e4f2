"""``starfreight plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.commands.plan_variant import plan_variant, variant_text
from starfreight.console import Console, human_count
from starfreight.errors import GateError
from starfreight.options import with_console
from starfreight.recipe import Recipe


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--gpu", metavar="NAME", default=None, help="A GPU (a100-80gb, rtx4090 ...) or its memory (24GB)."
)
@with_console
def plan(recipe: Path, gpu: str | None, console: Console) -> None:
    """Tell what RECIPE will cost before any GPU is touched: memory, disk, sizes, time, license duties.

    With --gpu it also says the largest batch that fits, and about how long training takes. Exit code 3
    when training does not fit in that GPU or in run.gpu_memory, or when the registry that publish names
    is known to refuse a file of that size.

    \b
        starfreight plan examples/starcoder2-15b.yaml
        starfreight plan examples/starcoder2-7b.yaml --gpu rtx4090
    """
    from starfreight.jobs.planning.gpus import find_gpu
    from starfreight.recipe import expand, load_recipe

    file = load_recipe(recipe)
    card = find_gpu(gpu) if gpu else None
    plans = [plan_variant(variant, file.folder, card) for variant in expand(file.recipe)]
    given = card.memory if card else file.recipe.run.gpu_memory
    refusal = _refusal(file.recipe, plans, recipe, given)
    console.result(
        {"variants": plans, "refused": refusal.as_dict() if refusal else None},
        "\n".join(variant_text(each) for each in plans),
    )
    if refusal is not None:
        if console.json_output:  # The object above says it already.
            raise click.exceptions.Exit(refusal.exit_code)
        raise refusal


def _refusal(recipe: Recipe, plans: list[dict[str, Any]], path: Path, given: int | None) -> GateError | None:
    from starfreight.packager.registry.limits import largest_layer
    from starfreight.registry import parse_reference

    host = parse_reference(recipe.publish.reference).host if recipe.publish else ""
    limit = largest_layer(host)
    for each in plans:
        needed = each["gpu_memory"]["total"]
        if given is not None and needed > given:
            return GateError(
                f"{each['name']} needs {human_count(needed, 'B')} of GPU memory, "
                f"and has {human_count(given, 'B')}.",
                where=str(path),
                fix=_smaller(each),
            )
        for name, size in each["files"].items():
            if limit is not None and size > limit:
                return GateError(
                    f"{name} will have {human_count(size, 'B')}, "
                    f"and {host} takes {human_count(limit, 'B')} at most.",
                    where=f"{path}, key package.quantizations",
                    fix="choose a smaller quantization, or another registry",
                )
    return None


def _smaller(plan: dict[str, Any]) -> str:
    fits = plan["largest_batch"]
    if fits is None:
        return "lower training.sequence_length or training.batch_size, or take a larger GPU"
    return (
        f"set training.batch_size to {fits['batch_size']} and training.gradient_accumulation to "
        f"{fits['gradient_accumulation']}, which gives the same steps"
    )
