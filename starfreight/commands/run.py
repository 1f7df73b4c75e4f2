"""``starfreight run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.console import Console
from starfreight.options import run_options, with_console

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--runs", type=_FOLDER, default=Path("runs"), show_default=True, help="The folder of all runs.")
@click.option(
    "--packages",
    type=_FOLDER,
    default=Path("packages"),
    show_default=True,
    help="The folder of all packages.",
)
@run_options
@click.option("--publish", "push", is_flag=True, help="Push the packages to the recipe's publish.reference.")
@with_console
def run(recipe: Path, runs: Path, packages: Path, push: bool, console: Console, **options: Any) -> None:
    """Train and package what RECIPE describes, and publish it with --publish.

    The same command goes on after an interruption, and does nothing again that is done already.
    With a sweep, each variant is published under the recipe's tag with the variant's name added.

    \b
        starfreight run recipe.yaml
        starfreight run recipe.yaml --publish
    """
    from starfreight.commands.pipeline import run_line
    from starfreight.errors import RecipeError
    from starfreight.packager.registry import publish
    from starfreight.recipe import expand, load_recipe
    from starfreight.registry import parse_reference

    file = load_recipe(recipe).with_run_options(**options)
    target = file.recipe.publish
    if push and target is None:
        raise RecipeError(
            "The recipe does not say where to publish.",
            where=f"{recipe}, key publish",
            fix="add publish.reference",
        )
    if target is not None:
        for variant in expand(file.recipe):  # A bad one is known before anything is trained.
            parse_reference(target.reference + variant.name.removeprefix(file.recipe.name))
    shipped = run_line(file, runs, packages, console)
    results: list[dict[str, Any]] = []
    lines = []
    for each in shipped:
        result: dict[str, Any] = {"run": str(each.run_folder), "package": str(each.package_folder)}
        lines += [f"The run lies in {each.run_folder}.", f"The package lies in {each.package_folder}."]
        if push and target is not None:
            suffix = each.run.recipe.name.removeprefix(file.recipe.name)
            console.heading("Publishing")
            published = publish(
                each.package_folder, target.reference + suffix, insecure=target.insecure, console=console
            )
            result["published"] = published.as_dict()
            lines.append(published.as_text())
        else:
            lines.append(f"Next: starfreight publish {each.package_folder} HOST/NAMESPACE/NAME:TAG")
        results.append(result)
    console.result({"variants": results}, "\n".join(lines))
