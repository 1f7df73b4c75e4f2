"""``starfreight run``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from starfreight.console import Console
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.kubernetes.options import check_replace, cluster_options, replace_option
from starfreight.jobs.cli.location import CONTEXT_OPTION, RUNS_OPTION
from starfreight.options import run_options, with_console

if TYPE_CHECKING:
    from starfreight.commands.pipeline import Shipped
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
@with_console
def run(
    recipe: Path,
    runs: Path,
    packages: Path,
    context: str | None,
    replace: bool,
    push: bool,
    console: Console,
    **options: Any,
) -> None:
    """Train and package RECIPE, and publish it with --publish.

    The same command resumes after an interruption, and repeats no finished step. The packages of a sweep are
    published under the recipe's tag with the variant's name appended.

    In a cluster, one job trains and packages, and publishes if the recipe has `publish` and no sweep. Its run
    and package are then copied to this machine.

    \b
        starfreight run recipe.yaml
        starfreight run recipe.yaml --publish
        starfreight run recipe.yaml --on kubernetes --namespace research
    """
    from starfreight.commands.pipeline import run_pipeline
    from starfreight.commands.publish_checks import check_references
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
    shipped = run_pipeline(file, Location(runs, context=context), packages, console, replace=replace)
    results = [_result(each, file, push, console) for each in shipped]
    console.result({"variants": [data for data, _ in results]}, "\n".join(text for _, text in results))


def _result(shipped: Shipped, file: RecipeFile, push: bool, console: Console) -> tuple[dict[str, Any], str]:
    """The result of a variant for machines and for people, after publishing it on request."""
    from starfreight.packager.registry import publish

    data: dict[str, Any] = {"run": str(shipped.run_folder), "package": str(shipped.package_folder)}
    lines = [f"Run written to {shipped.run_folder}.", f"Package written to {shipped.package_folder}."]
    target = file.recipe.publish
    if shipped.published and target is not None:
        data["published"] = {"reference": target.reference}
        lines.append(f"The job has published it to {target.reference}.")
    elif push and target is not None:
        suffix = shipped.run.recipe.name.removeprefix(file.recipe.name)
        console.heading("Publishing")
        published = publish(
            shipped.package_folder,
            target.reference + suffix,
            insecure=target.insecure,
            console=console,
            formats=target.formats,
        )
        data["published"] = published.as_dict()
        lines.append(published.as_text())
    else:
        package = shlex.quote(str(shipped.package_folder))
        lines.append(f"Next: starfreight publish {package} HOST/NAMESPACE/NAME:TAG")
    return data, "\n".join(lines)
