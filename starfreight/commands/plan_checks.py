"""The checks of a run around training, made by the plan: template, evaluation, signer and this machine.

The same functions as in ``starfreight run``, hence the same errors. Nothing is asked for, and no service is
called: the checks that would need one are named instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console, human_count
from starfreight.errors import InputError, ServiceError
from starfreight.recipe import Recipe, RecipeFile, expand

if TYPE_CHECKING:
    from starfreight.commands.plan_variant import VariantPlan
    from starfreight.recipe.models import Sign


def check_around_training(file: RecipeFile, console: Console) -> tuple[str, ...]:
    """Check the template, the evaluation and the signer of a recipe.

    Args:
        file: the recipe, with the command line's options in it.
        console: shows notes, as ``run`` does.

    Returns:
        the checks that were not made, each with the reason.

    Raises:
        StarfreightError: the error with which ``run``, or ``run --publish``, would stop.
    """
    from starfreight.packager.build.check_template import template_notes

    recipe = file.recipe
    not_checked = []
    sign = recipe.publish.sign if recipe.publish is not None else None
    if sign is not None:
        not_checked += _check_signer(sign, file.folder)
    for note in dict.fromkeys(note for variant in expand(recipe) for note in template_notes(variant)):
        console.note(note)
    return (*not_checked, *_check_evaluation(file, console))


def _check_signer(sign: Sign, folder: Path) -> list[str]:
    import os

    from starfreight.commands.recipe_signing import is_address, recipe_signer
    from starfreight.packager.cli.keygen import PASSWORD

    if sign.keyless:
        return ["the identity for keyless signing: a plan does not sign in"]
    if sign.key is None:
        return []
    if is_address(sign.key):
        return [f"the signing key {sign.key}: a plan does not connect to it"]
    if not (folder / Path(sign.key).expanduser()).is_file():
        return [f"the signing key {sign.key}: not here"]
    asked = []

    def ask(prompt: str) -> str:
        if (given := os.environ.get(PASSWORD)) is not None:
            return given
        asked.append(prompt)
        raise InputError("The plan asks for no password.")

    try:
        recipe_signer(sign, folder, ask)
    except InputError:
        if not asked:
            raise
        return [f"the password of the signing key {sign.key}: a plan does not ask for it"]
    return []


def _check_evaluation(file: RecipeFile, console: Console) -> list[str]:
    from starfreight.commands.evaluation import check_evaluation_place, check_suites
    from starfreight.jobs.backends.interface import Location

    check_suites(file, console)
    try:
        check_evaluation_place(file, Location())
    except ServiceError as error:
        return [f"the image for the evaluation: {error.what}"]
    except InputError as error:
        if file.recipe.run.where == "docker":
            raise
        return [f"the libraries for the evaluation: {error.what}"]  # The run may be on another machine.
    return []


def machine_warnings(plan: VariantPlan, recipe: Recipe) -> tuple[str, ...]:
    """Reasons for which this machine cannot make a run that it is to make: disk, memory, GPUs.

    Warnings, because the recipe may be planned here and run elsewhere.

    Args:
        plan: of one variant.
        recipe: of that variant.
    """
    if recipe.run.where == "kubernetes":
        return ()
    import shutil

    from starfreight.jobs.gpu.devices import list_gpus
    from starfreight.jobs.planning.pod import training_memory_on_cpu
    from starfreight.machine_limits import available_memory

    warnings = []
    needed = plan.disk["total"] - (plan.disk["base"] if plan.base_is_here else 0)
    free = shutil.disk_usage(Path.cwd()).free
    if needed > free:
        warnings.append(
            f"the run and its package need {human_count(needed, 'B')} of disk; the current directory's has "
            f"{human_count(free, 'B')} free"
        )
    gpus = len(list_gpus())
    wanted = recipe.run.processes
    if wanted is not None and 0 < gpus < wanted:
        warnings.append(f"run.processes is {wanted}, a GPU for each; this machine has {gpus}")
    memory = available_memory()
    if gpus == 0 and plan.training.gpu is None and memory is not None:
        held = training_memory_on_cpu(recipe, plan.training.shape)
        if held > memory:
            warnings.append(
                f"training on this machine's processors needs {human_count(held, 'B')} of memory; "
                f"{human_count(memory, 'B')} is available"
            )
    return tuple(warnings)
