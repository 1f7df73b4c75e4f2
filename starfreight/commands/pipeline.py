"""The whole pipeline of a recipe: train, package, and publish on request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.commands.publish_checks import last_step_in_cluster
from starfreight.console import Console
from starfreight.labelled_console import for_variant
from starfreight.package import Package
from starfreight.recipe import RecipeFile, expand
from starfreight.run import Run

if TYPE_CHECKING:
    from starfreight.jobs.backends.interface import Fetched, Location
    from starfreight.packager.evaluation.quality import Verdict


@dataclass(frozen=True)
class Shipped:
    """The results of one variant.

    Attributes:
        run_folder: the directory of its run.
        run: the record in it.
        package_folder: the directory of its package.
        package: the record in it.
        published: true if the job has published the package.
        evaluations: the directories of its evaluations, if the recipe has any.
        quality: the verdict of ``package.quality``; ``None`` without rules.
    """

    run_folder: Path
    run: Run
    package_folder: Path
    package: Package
    published: bool = False
    evaluations: tuple[Path, ...] = ()
    quality: Verdict | None = None


def run_pipeline(
    file: RecipeFile,
    location: Location,
    packages: Path,
    console: Console,
    *,
    replace: bool = False,
    publish_here: bool = False,
) -> tuple[Shipped, ...]:
    """Trains, packages and evaluates every variant of a recipe. Finished steps are not repeated.

    On a backend that runs later steps itself, the job also packages, and publishes a recipe that has
    ``publish`` and no sweep; its run and package are then fetched and verified.

    Args:
        file: the recipe, with the command line's options in it.
        location: the directory of all runs on this machine, and the context of a cluster.
        packages: the directory of all packages on this machine.
        console: shows progress.
        replace: delete the recipe's job in a cluster, and submit it again with the options in ``file``.
        publish_here: leave publishing to this machine, also where jobs can publish.

    Raises:
        StarfreightError: the reason for stopping; the same call resumes.
    """
    from starfreight.commands.evaluation import check_evaluation
    from starfreight.jobs.backends.interface import JobRequest
    from starfreight.jobs.backends.table import open_backend
    from starfreight.jobs.kinds.table import find_kind
    from starfreight.packager.build.check_template import template_notes

    for note in dict.fromkeys(note for variant in expand(file.recipe) for note in template_notes(variant)):
        console.note(note)
    check_evaluation(file, location, console)
    backend = open_backend(file.recipe.run.where, location)
    last_step = None
    if backend.runs_later_steps:
        last_step = "package" if publish_here else last_step_in_cluster(file.recipe)
    request = JobRequest(find_kind("train"), file, last_step=last_step, ship=True, replace=replace)
    submitted = backend.submit(request, console)
    fetched = [
        backend.fetch(name, location.runs, console, packages if last_step else None)
        for name in submitted.results
    ]
    consoles = [
        for_variant(console, Run.load(each.directory).recipe.name, number, len(fetched))
        for number, each in enumerate(fetched)
    ]
    shipped = [
        _ship(each, packages, named, published=last_step == "publish")
        for each, named in zip(fetched, consoles, strict=True)
    ]
    return tuple(
        _evaluate(each, file, location, named) for each, named in zip(shipped, consoles, strict=True)
    )


def _evaluate(shipped: Shipped, file: RecipeFile, location: Location, console: Console) -> Shipped:
    """Evaluates a package as its recipe says; on this machine if the job ran in a cluster."""
    from starfreight.commands.evaluation import evaluate_package
    from starfreight.packager.evaluation.attach import set_rules

    variant = next(
        (each for each in expand(file.recipe) if each.name == shipped.run.recipe.name), file.recipe
    )
    if variant.evaluate is None:
        verdict = set_rules(shipped.package_folder, variant.package.quality, console)
        return replace(shipped, package=Package.load(shipped.package_folder), quality=verdict)
    if variant.run.where == "kubernetes":
        console.note("The package is evaluated on this machine.")
        local = variant.run.model_copy(update={"where": "local"})
        variant = variant.model_copy(update={"run": local})
    one = RecipeFile(variant.model_copy(update={"sweep": {}}), file.folder)
    directories = evaluate_package(one, shipped.package_folder, location, console, run=shipped.run_folder)
    # With the recipe's rules of today, for its own problems and options: publishing refuses by them.
    verdict = set_rules(shipped.package_folder, variant.package.quality, console, directories)
    package = Package.load(shipped.package_folder)
    return replace(shipped, package=package, evaluations=directories, quality=verdict)


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
