"""Writing of a prepared run's directory: inputs, license texts, data manifest and ``run.json``."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.data_manifest import MANIFEST_FILE
from starfreight.directories import refuse_links_in
from starfreight.directory_lock import LOCK_FILE, only_one
from starfreight.files import atomic_write, sweep_partials
from starfreight.license_files import keep_in_run
from starfreight.origin import Origin
from starfreight.recipe import Recipe, recipe_digest
from starfreight.records import FileDigest
from starfreight.run import DATA_MANIFEST, NEWEST_VERSION, RUN_FILE, BaseInput, Inputs, Run


@dataclass(frozen=True)
class CheckedRecipe:
    """A recipe with its base model, ready to be written once its data is known.

    Attributes:
        recipe: without a sweep and without ``auto``.
        folder: the directory where its relative paths start.
        base_folder: the local directory of the base model.
        base: the base model, hashed.
        licenses: the texts of the recipe's license files.
        origin: of the recipe.
    """

    recipe: Recipe
    folder: Path
    base_folder: Path
    base: BaseInput
    licenses: tuple[bytes, ...]
    origin: Origin | None = None


def write_run(
    checked: CheckedRecipe, paths: Sequence[Path], manifest: FileDigest, data: Path, run_folder: Path
) -> None:
    """Writes a run's directory, or updates an existing one.

    An existing run keeps its id, status and results. Its recipe is replaced only if a key changed that
    training does not depend on, such as a quantization; the origin is then that of the new recipe.

    Args:
        checked: the recipe and its base model.
        paths: the local paths of the recipe's sources.
        manifest: the data manifest.
        data: the directory with the data manifest and its lists.
        run_folder: the run's directory.
    """
    recipe = checked.recipe
    with only_one(run_folder, "working on this run", below=run_folder.parent):
        refuse_links_in(run_folder)
        keep_in_run(checked.licenses, run_folder)
        Inputs(
            version=NEWEST_VERSION,
            recipe_folder=str(checked.folder),
            base=str(checked.base_folder),
            data=tuple(str(path) for path in paths),
        ).save(run_folder)
        if (run_folder / RUN_FILE).exists():
            found = Run.load(run_folder)
            if found.recipe != recipe:
                changed = {
                    "recipe": recipe,
                    "recipe_digest": recipe_digest(recipe),
                    "origin": checked.origin,
                }
                found.model_copy(update=changed).save(run_folder)
            return
        _copy_data(data, (run_folder / DATA_MANIFEST).parent, below=run_folder)
        Run(
            version=NEWEST_VERSION,
            id=run_folder.name,
            status="prepared",
            recipe=recipe,
            recipe_digest=recipe_digest(recipe),
            base=checked.base,
            data_manifest=manifest.model_copy(update={"path": DATA_MANIFEST}),
            origin=checked.origin,
        ).save(run_folder)


def _copy_data(work: Path, out: Path, below: Path) -> None:
    """Copies the manifest and its lists to a run. The manifest comes last because it names the others."""
    sweep_partials(out, below)
    lists = (path for path in work.iterdir() if path.name not in (MANIFEST_FILE, LOCK_FILE))
    for path in (*sorted(lists), work / MANIFEST_FILE):
        with path.open("rb") as source, atomic_write(out / path.name, below) as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
