"""``starfreight run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.kubernetes.options import check_replace, cluster_options, replace_option
from starfreight.jobs.cli.location import CONTEXT_OPTION, RUNS_OPTION
from starfreight.options import run_options, with_console

if TYPE_CHECKING:
    from starfreight.commands.choose_release import ChosenRelease
    from starfreight.commands.pipeline import Shipped
    from starfreight.packager.provenance.signing.interface import Signer
    from starfreight.recipe import RecipeFile


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@RUNS_OPTION
@click.option(
    "--packages",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("packages"),
    show_default=True,
    help="Directory of all packages.",
)
@run_options
@cluster_options
@replace_option
@CONTEXT_OPTION
@click.option("--publish", "push", is_flag=True, help="Push the packages to publish.reference.")
@click.option(
    "--choose", type=click.Choice(["best"]), help="Publish only the best evaluated file of all variants."
)
@click.option("--by", metavar="SUITE/FIGURE", help="Figure to choose by, such as fim/exact_match.")
@with_console
def run(
    recipe: Path,
    runs: Path,
    packages: Path,
    context: str | None,
    replace: bool,
    push: bool,
    choose: str | None,
    by: str | None,
    console: Console,
    **options: Any,
) -> None:
    """Train, package and evaluate RECIPE, and publish it with --publish.

    The same command resumes after an interruption, and repeats no finished step. A recipe with `evaluate` is
    evaluated after packaging. The packages of a sweep are published under the recipe's tag with the variant's
    name appended. --choose best publishes only one, under the tag itself, with the smallest file within the
    interval of the best.

    In a cluster, one job trains and packages, and publishes if the recipe has `publish` and no sweep. Its run
    and package are then copied to this machine. With `publish.sign`, they are signed and published from this
    machine, where the keys are: add --publish.

    \b
        starfreight run recipe.yaml
        starfreight run recipe.yaml --publish
        starfreight run recipe.yaml --choose best --by fim/exact_match --publish
        starfreight run recipe.yaml --on kubernetes --namespace research
    """
    from starfreight.commands.choose_release import choose_release
    from starfreight.commands.pipeline import run_pipeline
    from starfreight.commands.publish_checks import check_duties, check_references
    from starfreight.commands.recipe_signing import recipe_signer
    from starfreight.commands.sweep_summary import sweep_summary
    from starfreight.errors import RecipeError
    from starfreight.recipe import load_recipe

    file = load_recipe(recipe).with_run_options(**options)
    check_replace(replace, file.recipe.run.where)
    target = file.recipe.publish
    if push and target is None:
        raise RecipeError(
            "The recipe has no place to publish to.",
            where=f"{recipe}, key publish",
            fix="add publish.reference",
        )
    check_references(file.recipe)
    check_duties(
        file, console, publishes=push or (target is not None and file.recipe.run.where == "kubernetes")
    )
    if by is not None and choose is None:
        raise click.UsageError("--by requires --choose best.")
    # Before the hours of training: a wrong key or password is found at once.
    signer = recipe_signer(target.sign, file.folder) if push and target and target.sign else None
    shipped = run_pipeline(
        file, Location(runs, context=context), packages, console, replace=replace, publish_here=bool(choose)
    )
    chosen = None
    if choose is not None:
        chosen = choose_release([(each.run.recipe.name, each.package_folder) for each in shipped], by)
    sweep = len(shipped) > 1
    results = [_result(each, file, push, signer, chosen, console, sweep=sweep) for each in shipped]
    data: dict[str, Any] = {"variants": [data for data, _ in results]}
    lines = [text for _, text in results]
    if sweep:
        compared, text = sweep_summary(
            shipped, file.recipe, recipe, console, chosen=push or chosen is not None
        )
        data["comparison"] = compared
        lines += ["", text]
    if chosen is not None:
        data["chosen"] = chosen.as_dict()
        lines.append(chosen.as_text())
    console.result(data, "\n".join(lines))


def _result(
    shipped: Shipped,
    file: RecipeFile,
    push: bool,
    signer: Signer | None,
    chosen: ChosenRelease | None,
    console: Console,
    *,
    sweep: bool,
) -> tuple[dict[str, Any], str]:
    """The result of a variant for machines and for people, after publishing it on request."""
    from starfreight.commands.evaluation import load_evaluations
    from starfreight.commands.evaluation_table import evaluations_data, evaluations_text
    from starfreight.commands.recipe_signing import recipe_signing
    from starfreight.packager.cli.next_commands import next_commands
    from starfreight.packager.registry.push import publish

    data: dict[str, Any] = {"run": str(shipped.run_folder), "package": str(shipped.package_folder)}
    lines = [shipped.run.recipe.name] if sweep else []
    lines += [f"Run written to {shipped.run_folder}.", f"Package written to {shipped.package_folder}."]
    if shipped.evaluations:
        evaluations = load_evaluations(shipped.evaluations)
        data |= evaluations_data(evaluations, shipped.evaluations)
        lines.append(evaluations_text(evaluations, shipped.evaluations))
    if shipped.quality is not None:
        data["quality"] = shipped.quality.as_dict()
        if not push or (chosen is not None and chosen.package != shipped.package_folder):
            lines.append(f"Quality gate: {shipped.quality.result}")  # Publishing prints it, too.
            lines += [f"  {line}" for line in shipped.quality.as_lines()]
    target = file.recipe.publish
    if shipped.published and target is not None:
        data["published"] = {"reference": target.reference}
        lines.append(f"The job has published it to {target.reference}.")
    elif push and chosen is not None and chosen.package != shipped.package_folder:
        data["published"] = None
    elif push and target is not None:
        suffix = shipped.run.recipe.name.removeprefix(file.recipe.name) if chosen is None else ""
        console.heading("Publishing")
        sign = target.sign
        published = publish(
            shipped.package_folder,
            target.reference + suffix,
            insecure=target.insecure,
            console=console,
            formats=target.formats,
            default=chosen.quantization if chosen else None,
            sign=recipe_signing(sign, signer, shipped.package_folder, console) if sign and signer else None,
        )
        data["published"] = published.as_dict()
        lines.append(published.as_text())
    elif not sweep or (chosen is not None and chosen.package == shipped.package_folder):
        quantization = chosen.quantization if chosen is not None else None
        lines.append(next_commands(shipped.package_folder, quantization))
    return data, "\n".join(lines)
