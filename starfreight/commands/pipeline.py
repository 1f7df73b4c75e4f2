"""The whole pipeline of a recipe: train, package, and publish on request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.commands.publish_checks import last_step_in_cluster
from starfreight.console import Console
from starfreight.package import Package
from starfreight.recipe import RecipeFile, expand
from starfreight.run import Run

if TYPE_CHECKING:
    from starfreight.jobs.backends.interface import Fetched, Location


@dataclass(frozen=True)
class Shipped:
    """The results of one variant.

    Attributes:
        run_folder: the directory of its run.
        run: the record in it.
        package_folder: the directory of its package.
        package: the record in it.
        published: true if the job has published the package.
    """

    run_folder: Path
    run: Run
    package_folder: Path
    package: Package
    published: bool = False


def run_pipeline(
    file: RecipeFile, location: Location, packages: Path, console: Console, *, replace: bool = False
) -> tuple[Shipped, ...]:
    """Trains and packages every variant of a recipe. Finished steps are not repeated.

    On a backend that runs later steps itself, the job also packages, and publishes a recipe that has
    ``publish`` and no sweep; its run and package are then fetched and verified.

    Args:
        file: the recipe, with the command line's options in it.
        location: the directory of all runs on this machine, and the context of a cluster.
        packages: the directory of all packages on this machine.
        console: shows progress.
        replace: delete the recipe's job in a cluster, and submit it again with the options in ``file``.

    Raises:
        StarfreightError: the reason for stopping; the same call resumes.
    """
    from starfreight.jobs.backends.interface import JobRequest
    from starfreight.jobs.backends.table import open_backend
    from starfreight.jobs.kinds.table import find_kind
    from starfreight.packager.build.check_template import template_notes

    for note in dict.fromkeys(note for variant in expand(file.recipe) for note in template_notes(variant)):
        console.note(note)
    backend = open_backend(file.recipe.run.where, location)
    last_step = last_step_in_cluster(file.recipe) if backend.runs_later_steps else None
    request = JobRequest(find_kind("train"), file, last_step=last_step, ship=True, replace=replace)
    submitted = backend.submit(request, console)
    fetched = [
        backend.fetch(name, location.runs, console, packages if last_step else None)
        for name in submitted.results
    ]
    return tuple(_ship(each, packages, console, published=last_step == "publish") for each in fetched)


def _ship(fetched: Fetched, packages: Path, console: Console, *, published: bool) -> Shipped:
    """Builds the package of a run, or verifies the one that its job has built."""
    from starfreight.directories import refuse_link
    from starfreight.packager.build.build_package import build_package
    from starfreight.packager.layout import verify_layout

    directory = fetched.directory
    if fetched.package is None:
        out = packages / directory.name
        refuse_link(out, below=packages)
        package = build_package(directory, out, None, console)
        return Shipped(directory, Run.load(directory), out, package)
    verify_layout(fetched.package, console)
    package = Package.load(fetched.package)
    return Shipped(directory, Run.load(directory), fetched.package, package, published)
