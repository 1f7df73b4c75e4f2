"""Preparation of runs: inputs located, checked and hashed, and a directory for each run. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from starfreight.console import Console, human_count
from starfreight.directories import discard
from starfreight.directory_lock import LOCK_FILE, only_one
from starfreight.files import PARTIAL_PREFIX, canonical_json, disk_errors, sha256_bytes
from starfreight.jobs.data.manifest.build_manifest import build_manifest
from starfreight.jobs.data.sources import locate_source, naming_source
from starfreight.jobs.prepare.base_input import OpenedBase, open_base
from starfreight.jobs.prepare.check_data_licenses import check_data_licenses
from starfreight.jobs.prepare.check_training import check_recipe
from starfreight.jobs.prepare.defaults import with_defaults
from starfreight.jobs.prepare.origin import find_origin
from starfreight.jobs.prepare.run_identity import run_folder
from starfreight.jobs.prepare.write_run import CheckedRecipe, write_run
from starfreight.recipe import Base, Recipe
from starfreight.run import RUN_FILE, BaseInput


def prepare_runs(
    recipes: Sequence[Recipe],
    folder: Path,
    runs: Path,
    console: Console,
    is_at_work: Callable[[Path], bool] = lambda run_folder: False,
    *,
    part: str = "",
    ship: bool = False,
) -> list[Path]:
    """Creates ``runs/<id>/`` for each recipe, or finds an existing run with the same inputs.

    The id is the recipe's name and a digest of the training's inputs (:func:`run_id`), the data among them.
    So the data is read and examined each time, but only once for variants of a sweep with the same data.
    Variants with the same base model share it, too: it is opened and hashed once.

    Args:
        recipes: recipes without a sweep.
        folder: the directory where their relative paths start.
        runs: the directory of all runs.
        console: receives the findings.
        is_at_work: true if a job holds a run's directory, which is then left as it is.
        part: suffix of the work directory, to separate processes that prepare the same data at the same time.
        ship: require the license texts of a package before any data is read. For runs to be packaged.

    Returns:
        the directories of the runs, in the order of the recipes.

    Raises:
        RecipeError: a recipe names a missing input.
        InputError: the base model or the data cannot be used, or the data are little and the recipe does not
            allow that.
        GateError: with ``ship``, a license text is missing; or a license of the data forbids this use.
        ServiceError: an input could not be fetched, the disk is full, or the system ended a process.
    """
    if recipes:
        console.heading("Checking the inputs")
    checked = _check_recipes(recipes, folder, console, ship=ship)
    prepared: dict[int, Path] = {}
    for data, group in _by_data(recipes).items():
        first = recipes[group[0]]
        paths = []
        for number, source in enumerate(first.data):
            with naming_source(number):
                paths.append(locate_source(source, folder, console))
        # Beside the runs, so that files can be moved into them.
        work = runs / f"{PARTIAL_PREFIX}data-{sha256_bytes(data).removeprefix('sha256:')[:10]}{part}"
        with only_one(work, "preparing this data", below=runs) as directory, disk_errors(work):
            try:
                directory.empty(keep={LOCK_FILE})  # Of what a killed process has left behind.
                found = build_manifest(first.data, paths, folder, work, console, first.run.threads)
                for number in group:
                    each = checked[number]
                    check_data_licenses(each.recipe, each.base.license, found.sources)
                    out = run_folder(runs, each.recipe, each.base, found.manifest)
                    if found.little_data is not None:
                        # An existing run was checked when it was made, and may be finished.
                        if not (each.recipe.run.allow_little_data or (out / RUN_FILE).exists()):
                            raise found.little_data
                        console.note(f"Warning: {found.little_data.what}")
                    if not ((out / RUN_FILE).exists() and is_at_work(out)):
                        write_run(each, paths, found.manifest, work, out)
                    prepared[number] = out
            finally:
                discard(work, below=runs)
    return [prepared[number] for number in range(len(recipes))]


def _by_data(recipes: Sequence[Recipe]) -> dict[bytes, list[int]]:
    groups: dict[bytes, list[int]] = {}
    for number, recipe in enumerate(recipes):
        data = canonical_json(recipe.model_dump(mode="json", include={"data"}))
        groups.setdefault(data, []).append(number)
    return groups


def _check_recipes(
    recipes: Sequence[Recipe], folder: Path, console: Console, *, ship: bool
) -> list[CheckedRecipe]:
    """Checks all recipes before the first base model is hashed, which may take minutes."""
    opened: dict[Base, OpenedBase] = {}
    licenses = []
    for recipe in recipes:
        if recipe.base not in opened:
            opened[recipe.base] = open_base(recipe.base, folder)
        base = opened[recipe.base]
        shape = base.checkpoint.shape
        licenses.append(check_recipe(recipe, shape, base.license, base.folder, folder, ship=ship))
    hashed: dict[Base, BaseInput] = {}
    for key, base in opened.items():
        hashed[key] = record = base.hash_files(console)
        files = human_count(len(record.files), "files")
        console.note(f"  {record.model}: {record.architecture}, {files}, {record.license}")
    origin = find_origin(folder) if recipes else None
    return [
        CheckedRecipe(
            with_defaults(recipe, opened[recipe.base].checkpoint.shape),
            folder,
            opened[recipe.base].folder,
            hashed[recipe.base],
            texts,
            origin,
        )
        for recipe, texts in zip(recipes, licenses, strict=True)
    ]
