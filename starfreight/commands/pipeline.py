"""The whole line for one recipe: plan, train, package, and publish when asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.base_model import locate_base
from starfreight.console import Console
from starfreight.license_files import read_beside_recipe
from starfreight.package import Package
from starfreight.recipe import RecipeFile, expand
from starfreight.run import Run


@dataclass(frozen=True)
class Shipped:
    """What the line made of one variant."""

    run_folder: Path
    run: Run
    package_folder: Path
    package: Package


def run_line(file: RecipeFile, runs: Path, packages: Path, console: Console) -> tuple[Shipped, ...]:
    """Trains and packages every variant of a recipe. What is done already is not done again.

    Args:
        file: the recipe, which says where to train, and its folder.
        runs: the folder of all runs.
        packages: the folder of all packages.
        console: shows progress.

    Raises:
        StarfreightError: whatever stops it; the same call goes on from there.
    """
    from starfreight.jobs.run_recipe import train_recipe
    from starfreight.packager.build.build_package import build_package
    from starfreight.packager.build.licenses import license_texts

    # The license gate comes before the hours of training, not after them. A base model's license
    # is known only when its folder is, so a hub id is fetched here already.
    for recipe in expand(file.recipe):
        base = locate_base(recipe.base, file.folder)
        added = read_beside_recipe(recipe.package, file.folder)
        license_texts(recipe.package, recipe.base.license or "of the base model", base, added)

    shipped = []
    for folder, run in train_recipe(file, runs, console):
        out = packages / folder.name
        shipped.append(Shipped(folder, run, out, build_package(folder, out, None, console)))
    return tuple(shipped)
