"""``starfreight plan``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.commands.plan_variant import VariantPlan, plan_variant, variant_text
from starfreight.console import Console, human_count
from starfreight.errors import GateError
from starfreight.options import little_data_option, with_console


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--gpu",
    metavar="NAME",
    default=None,
    help="GPU to train on: a model (a100-80gb, rtx4090 ...) or its memory (24GB). [default: run.gpu_memory]",
)
@click.option(
    "--no-measure",
    is_flag=True,
    envvar="STARFREIGHT_NO_MEASURE",
    help="Do not measure training on this machine's processors, which takes about 20 seconds.",
)
@little_data_option
@with_console
def plan(
    recipe: Path, gpu: str | None, no_measure: bool, allow_little_data: bool | None, console: Console
) -> None:
    """Check RECIPE, and predict memory, disk, file sizes, time and license duties, without a GPU.

    With --gpu, or a known GPU in this machine, also shows the largest batch to fit in its memory and the
    training time. Without a GPU, measures a few steps of training on this machine's processors.

    Counts the tokens of the data with the tokenizer of the base model; of large data, those of a sample.

    Makes the checks of starfreight run, with the same errors, and looks at the data on this machine.
    Fetches no data and no weights; checks of inputs that are not here yet are named.

    Exits with 3 if training does not fit in the GPU, or the license of the data forbids this use. For a
    recipe with publish.reference, also if the registry does not accept files of the predicted size, or a duty
    of the licenses is not met.

    \b
        starfreight plan recipe.yaml
        starfreight plan recipe.yaml --gpu rtx4090
    """
    from starfreight.commands.plan_checks import check_around_training
    from starfreight.commands.plan_duration import durations
    from starfreight.commands.publish_checks import check_references, last_step_in_cluster
    from starfreight.jobs.planning.gpus import find_gpu, gpu_here
    from starfreight.jobs.planning.run_checks import check_like_run
    from starfreight.recipe import expand, load_recipe

    file = load_recipe(recipe).with_run_options(allow_little_data=allow_little_data)
    run = file.recipe.run
    card = find_gpu(gpu) if gpu else None
    if card is None and run.gpu_memory is None and run.where != "kubernetes":
        card = gpu_here()
    check_references(file.recipe)
    around = check_around_training(file, console)
    variants = expand(file.recipe)
    checked = check_like_run(file, variants, last_step_in_cluster(file.recipe), console)
    plans = [plan_variant(each, card, file.folder, around) for each in checked]
    refusal = _refusal(plans, recipe)
    if refusal is None:
        plans = durations(plans, checked, console, measure=not no_measure)
    console.result(
        {
            "variants": [each.as_dict() for each in plans],
            "refused": refusal.as_dict() if refusal else None,
        },
        "\n".join(
            variant_text(each, with_data=number == 0 or each.look != plans[number - 1].look)
            for number, each in enumerate(plans)
        ),
    )
    if refusal is not None:
        if console.json_output:  # The refusal is part of the object above.
            raise click.exceptions.Exit(refusal.exit_code)
        raise refusal


def _refusal(plans: list[VariantPlan], path: Path) -> GateError | None:
    for each in plans:
        gpu, needed = each.training.gpu, each.training.gpu_memory.total
        if gpu is not None and needed > gpu.memory:
            return GateError(
                f"{each.name} needs {human_count(needed, 'B')} of GPU memory; "
                f"{human_count(gpu.memory, 'B')} is available.",
                where=str(path),
                fix=_smaller(each),
            )
        package = each.package
        for name, size in package.files.items():
            if package.registry_limit is not None and size > package.registry_limit:
                return GateError(
                    f"The {name} file will be {human_count(size, 'B')}; {package.registry} accepts at most "
                    f"{human_count(package.registry_limit, 'B')} per file.",
                    where=f"{path}, key package.quantizations",
                    fix="choose a smaller quantization, or another registry",
                )
        if each.publishes and each.duties.unmet:
            from starfreight.packager.provenance.duties import duty_refusal

            return duty_refusal(each.duties.unmet, f"the model {each.name}")
    return None


def _smaller(plan: VariantPlan) -> str:
    fits = plan.training.largest_batch
    if fits is None:
        return "lower training.sequence_length or training.batch_size, or use a larger GPU"
    return (
        f"set training.batch_size to {fits.batch_size} and training.gradient_accumulation to "
        f"{fits.gradient_accumulation}, for the same number of blocks per step"
    )
