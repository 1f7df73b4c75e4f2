"""From a recipe to a run's folder, with every input found, checked and digested. No torch is needed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.base_model import known_license, locate_base
from starfreight.checkpoint import ModelShape, check_tokenizer, checkpoint_files, open_checkpoint
from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import (
    PARTIAL_PREFIX,
    atomic_write,
    canonical_json,
    disk_errors,
    only_one,
    sha256_bytes,
    sha256_file,
    sweep_partials,
)
from starfreight.jobs.data.manifest.gather import gather_data
from starfreight.jobs.data.manifest.manifest import MANIFEST_FILE
from starfreight.jobs.data.sources import locate_source, naming_source
from starfreight.jobs.prepare.defaults import with_defaults
from starfreight.jobs.train.model import TARGET_MODULES
from starfreight.license_files import keep_in_run, read_beside_recipe
from starfreight.recipe import Recipe, Training, recipe_digest
from starfreight.records import FileDigest
from starfreight.run import DATA_MANIFEST, NEWEST_VERSION, RUN_FILE, BaseInput, Inputs, Run


@dataclass(frozen=True)
class _Found:
    """A recipe without ``auto``, and its base model."""

    recipe: Recipe
    base_folder: Path
    base: BaseInput


def prepare_run(recipe: Recipe, folder: Path, runs: Path, console: Console, *, part: str = "") -> Path:
    """:func:`prepare_runs` for one recipe without a sweep."""
    (run_folder,) = prepare_runs([recipe], folder, runs, console, part=part)
    return run_folder


def prepare_runs(
    recipes: Sequence[Recipe],
    folder: Path,
    runs: Path,
    console: Console,
    is_at_work: Callable[[Path], bool] = lambda run_folder: False,
    *,
    part: str = "",
) -> list[Path]:
    """Makes ``runs/<id>/`` for each recipe, or finds what an earlier command made from the same inputs.

    The id is the recipe's name and a digest of what training depends on: the base model's files, every sample
    of the data, and the recipe's keys base, data and training. So the data is read and examined each time,
    but once only for variants of a sweep that have the same data.

    Args:
        recipes: without a sweep in them.
        folder: where their relative paths start.
        runs: the folder of all runs.
        console: says what is found.
        is_at_work: whether a job holds a run's folder, which is left as it is then.
        part: what tells this work from that of others who prepare the same data at the same time.

    Returns:
        the runs' folders.

    Raises:
        RecipeError: a recipe names something that is not there.
        InputError: the base model or the data cannot be used.
        ServiceError: something could not be fetched, the disk is full, or the system ended a process.
    """
    prepared: dict[int, Path] = {}
    for data, group in _by_data(recipes).items():
        first = recipes[group[0]]
        console.heading("Checking the inputs")
        bases = {number: _find_base(recipes[number], folder, console) for number in group}
        paths = []
        for number, source in enumerate(first.data):
            with naming_source(number):
                paths.append(locate_source(source, folder, console))
        # Beside the runs, so that what is written can be moved into them.
        work = runs / f"{PARTIAL_PREFIX}data-{sha256_bytes(data).removeprefix('sha256:')[:10]}{part}"
        with only_one(work, "preparing this data"), disk_errors(work):
            try:
                for left in work.iterdir():
                    if left.name != ".lock":  # What a killed process left.
                        left.unlink()
                found = gather_data(first.data, paths, folder, work, console, first.run.threads)
                for number in group:
                    run_folder = runs / run_id(bases[number].recipe, bases[number].base, found.manifest)
                    if not ((run_folder / RUN_FILE).exists() and is_at_work(run_folder)):
                        _write_run(bases[number], paths, folder, run_folder, work, found.manifest)
                    prepared[number] = run_folder
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return [prepared[number] for number in range(len(recipes))]


def _by_data(recipes: Sequence[Recipe]) -> dict[bytes, list[int]]:
    groups: dict[bytes, list[int]] = {}
    for number, recipe in enumerate(recipes):
        data = canonical_json(recipe.model_dump(mode="json", include={"data"}))
        groups.setdefault(data, []).append(number)
    return groups


def _find_base(recipe: Recipe, folder: Path, console: Console) -> _Found:
    base_folder = locate_base(recipe.base, folder)
    recipe = with_defaults(recipe, open_checkpoint(base_folder).shape)
    base = _describe_base(recipe, base_folder)
    console.note(f"  {recipe.base.model}: {base.architecture}, {len(base.files)} files, {base.license}")
    return _Found(recipe, base_folder, base)


def run_id(recipe: Recipe, base: BaseInput, manifest: FileDigest) -> str:
    """The recipe's name and ten digits of a digest of what training depends on."""
    depends_on = recipe.model_dump(mode="json", include={"base", "data", "training"})
    identity = sha256_bytes(canonical_json([depends_on, base.digest, manifest.digest]))
    return f"{recipe.name}-{identity.removeprefix('sha256:')[:10]}"


def _write_run(
    prepared: _Found, paths: Sequence[Path], folder: Path, run_folder: Path, work: Path, manifest: FileDigest
) -> None:
    recipe, base_folder, base = prepared.recipe, prepared.base_folder, prepared.base
    licenses = read_beside_recipe(recipe.package, folder)
    with only_one(run_folder, "working on this run"):
        keep_in_run(licenses, run_folder)
        Inputs(
            version=NEWEST_VERSION,
            recipe_folder=str(folder),
            base=str(base_folder),
            data=tuple(str(path) for path in paths),
        ).save(run_folder)
        if (run_folder / RUN_FILE).exists():
            found = Run.load(run_folder)
            if found.recipe != recipe:
                # Only keys that training does not depend on can differ.
                found.model_copy(update={"recipe": recipe, "recipe_digest": recipe_digest(recipe)}).save(
                    run_folder
                )
            return
        _copy_data(work, (run_folder / DATA_MANIFEST).parent)
        Run(
            version=NEWEST_VERSION,
            id=run_folder.name,
            status="prepared",
            recipe=recipe,
            recipe_digest=recipe_digest(recipe),
            base=base,
            data_manifest=manifest.model_copy(update={"path": DATA_MANIFEST}),
        ).save(run_folder)


def _copy_data(work: Path, out: Path) -> None:
    """The manifest and its lists into a run; the manifest comes last, since it names the others."""
    sweep_partials(out)
    lists = (path for path in work.iterdir() if path.name not in (MANIFEST_FILE, ".lock"))
    for path in (*sorted(lists), work / MANIFEST_FILE):
        with path.open("rb") as source, atomic_write(out / path.name) as stream:
            shutil.copyfileobj(source, stream, 1 << 20)


def check_training(training: Training, shape: ModelShape) -> None:
    """What would only be noticed when the model is loaded, perhaps on another machine, hours later."""
    length, most = training.sequence_length, shape.context_length
    if length > most:
        raise RecipeError(
            f"The base model reads {most:,} tokens at most, not {length:,}.",
            where="key training.sequence_length",
            fix=f"lower it to {most} or less",
        )
    layers = TARGET_MODULES[shape.architecture]
    unknown = [name for name in training.target_modules if name not in layers]
    if training.target_modules != "auto" and unknown:
        raise RecipeError(
            f"The base model has no linear layer called {unknown[0]!r} that an adapter can be merged into.",
            where="key training.target_modules",
            fix="choose from " + ", ".join(layers),
        )


def _describe_base(recipe: Recipe, folder: Path) -> BaseInput:
    base = recipe.base
    checkpoint = open_checkpoint(folder)
    tokenizer = check_tokenizer(folder, checkpoint.architecture)
    missing = [role for role in ("prefix", "suffix", "middle") if role not in tokenizer.fim]
    if missing:
        raise InputError(
            f"The tokenizer has no token for the {missing[0]} of a fill-in-the-middle example.",
            where=str(folder / "tokenizer.json"),
            fix="use a base model that was trained to fill in the middle, such as StarCoder2",
        )
    check_training(recipe.training, checkpoint.shape)
    files = tuple(
        FileDigest(
            path=path.relative_to(folder).as_posix(), digest=sha256_file(path), size=path.stat().st_size
        )
        for path in checkpoint_files(folder)
    )
    license_name = known_license(base)
    if license_name is None:
        raise RecipeError(
            "The base model's license is not known.",
            where="key base.license",
            fix="add it, as an SPDX identifier or LicenseRef-...: it decides what may be shipped",
        )
    return BaseInput(
        model=base.model,
        revision=base.revision,
        license=license_name,
        architecture=checkpoint.architecture,
        digest=sha256_bytes(canonical_json([file.model_dump() for file in files])),
        files=files,
    )
