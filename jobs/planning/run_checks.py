"""The checks of a run, made by the plan: the same functions in the same order, hence the same errors.

Inputs that are not on this machine are not fetched; their checks are named instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.files import canonical_json
from starfreight.recipe import Base, Data, Recipe, RecipeFile

if TYPE_CHECKING:
    from starfreight.checkpoint import ModelShape
    from starfreight.jobs.planning.data_look import DataLook
    from starfreight.licenses.training_use import DataLicense


_WEIGHTS = (".safetensors", ".index.json", ".bin", ".pt", ".pth", ".gguf")
"""Ends of the names of weight files, also of formats that are refused."""


@dataclass(frozen=True)
class CheckedVariant:
    """One variant of a recipe that a run would accept.

    Attributes:
        recipe: without a sweep.
        shape: of its base model.
        base_folder: the directory of its base model; ``None`` if it is not here, or not whole.
        look: at its data.
        data_licenses: the licenses of its data, as far as they are known.
        not_checked: checks that need something that is not here, each with the reason.
    """

    recipe: Recipe
    shape: ModelShape
    base_folder: Path | None
    look: DataLook
    data_licenses: tuple[DataLicense, ...]
    not_checked: tuple[str, ...]


@dataclass(frozen=True)
class _BaseHere:
    """Facts about a base model, as far as its files are here.

    Attributes:
        shape: its shape.
        license: its license.
        folder: its directory, with a tokenizer but perhaps without weights; ``None`` if it is not here.
        whole: true if its weights are here, too.
        not_checked: checks that were not made.
    """

    shape: ModelShape
    license: str
    folder: Path | None
    whole: bool
    not_checked: tuple[str, ...]


def check_like_run(
    file: RecipeFile, variants: Sequence[Recipe], last_step: str | None, console: Console
) -> tuple[CheckedVariant, ...]:
    """Check a recipe like ``starfreight run``, as far as its inputs are on this machine.

    Args:
        file: the recipe, with the command line's options in it.
        variants: of the recipe.
        last_step: of a job in a cluster.
        console: shows progress, and the counts of data that are refused.

    Raises:
        StarfreightError: the error with which a run would stop.
    """
    from starfreight.jobs.planning.data_licenses import seen_licenses
    from starfreight.jobs.prepare.check_data_licenses import model_use
    from starfreight.licenses.training_use import data_refusal

    general = _check_backend(file, variants, last_step)
    bases: dict[Base, _BaseHere] = {}
    notes: list[list[str]] = []
    for variant in variants:
        if variant.base not in bases:
            bases[variant.base] = _check_base(variant.base, file.folder)
        base = bases[variant.base]
        notes.append([*general, *base.not_checked, *_check_recipe(variant, base, file.folder)])
    looks: dict[bytes, tuple[DataLook, tuple[str, ...]]] = {}
    checked = []
    for variant, found in zip(variants, notes, strict=True):
        base = bases[variant.base]
        key = canonical_json(
            [variant.model_dump(mode="json", include={"data", "base"}), variant.training.sequence_length]
        )
        if key not in looks:
            looks[key] = _check_data(variant, file.folder, base.folder, console)
        look, more = looks[key]
        licenses = seen_licenses(variant, look)
        refusal = data_refusal(licenses, model_use(variant, base.license))
        if refusal is not None:
            raise refusal
        whole = base.folder if base.whole else None
        checked.append(CheckedVariant(variant, base.shape, whole, look, licenses, (*found, *more)))
    return tuple(checked)


def _check_backend(file: RecipeFile, variants: Sequence[Recipe], last_step: str | None) -> list[str]:
    """The checks of the backend, before it prepares anything."""
    from starfreight.jobs.backends.interface import Location
    from starfreight.jobs.backends.table import open_backend
    from starfreight.jobs.kinds.table import find_kind

    run, kind = file.recipe.run, find_kind("train")
    if run.where == "kubernetes":
        from starfreight.jobs.backends.kubernetes.manifests.render import render

        # On several nodes a job can only train: starfreight run refuses, starfreight jobs run does not.
        step = last_step if run.kubernetes.nodes == 1 else None
        render(file.with_run_options(until=step), kind=kind)
        return ["the cluster: a plan does not connect to it"]
    from starfreight.jobs.backends.directory import DirectoryBackend

    backend = open_backend(run.where, Location())
    assert isinstance(backend, DirectoryBackend)
    try:
        backend.check(kind, run)
    except ServiceError as error:
        return [f"the image and the GPUs: {error.what}"]
    except InputError as error:
        if run.where != "local":
            raise
        return [f"the libraries: {error.what}"]  # Training may be planned for another machine.
    return []


def _check_base(base: Base, folder: Path) -> _BaseHere:
    from starfreight.base_model import local_base
    from starfreight.checkpoint.config import read_config
    from starfreight.jobs.planning.inputs_here import base_here
    from starfreight.jobs.planning.model_shapes import base_shape
    from starfreight.jobs.prepare.base_input import open_base, require_license, require_tokenizer

    located = base_here(base, folder)
    if located is not None and local_base(base, folder) is not None and not _lacks_weights(located):
        opened = open_base(base, folder)
        return _BaseHere(opened.checkpoint.shape, opened.license, opened.folder, True, ())
    not_checked = [f"the weights of {base.model}: not here yet"]
    if located is not None and (located / "config.json").is_file():
        shape = read_config(located / "config.json")
    else:
        shape = base_shape(base, folder)
    if located is not None and (located / "tokenizer.json").is_file():
        require_tokenizer(located, shape)
    else:
        not_checked.append(f"the tokenizer of {base.model}: not here yet")
    return _BaseHere(shape, require_license(base), located, False, tuple(not_checked))


def _lacks_weights(located: Path) -> bool:
    """True if only the weights of a model are missing; a run refuses any other directory."""
    names = [path.name for path in located.iterdir()]
    return "config.json" in names and not any(name.endswith(_WEIGHTS) for name in names)


def _check_recipe(recipe: Recipe, base: _BaseHere, folder: Path) -> list[str]:
    from starfreight.jobs.prepare.check_training import check_recipe

    if base.whole:
        check_recipe(recipe, base.shape, base.license, base.folder, folder, ship=True)
        return []
    try:
        check_recipe(recipe, base.shape, base.license, None, folder, ship=True)
    except RecipeError:
        raise
    except InputError as error:  # Like the model itself, the text may be yet to come.
        return [f"the license texts: {error.where} is not here yet"]
    return []


def _check_data(
    recipe: Recipe, folder: Path, base: Path | None, console: Console
) -> tuple[DataLook, tuple[str, ...]]:
    from starfreight.jobs.data.sources import check_source, naming_source
    from starfreight.jobs.data.sources.interface import MissingLibrary
    from starfreight.jobs.planning.data_look import look_at_data
    from starfreight.jobs.planning.inputs_here import source_here

    in_cluster = recipe.run.where == "kubernetes"
    paths: list[Path | None] = []
    for number, source in enumerate(recipe.data):
        if in_cluster and not _is_here(source, folder):
            paths.append(None)
            continue
        with naming_source(number):
            check_source(source, folder)
            paths.append(source_here(source, folder, console))
    not_checked = [
        f"data[{number}], {source.source}: not here yet"
        for number, (source, path) in enumerate(zip(recipe.data, paths, strict=True))
        if path is None
    ]
    try:
        look = look_at_data(recipe, folder, paths, base, console)
    except MissingLibrary as error:
        if not in_cluster:
            raise
        not_checked.append(f"the data: {error.what}")
        look = look_at_data(recipe, folder, [None] * len(paths), base, console)
    if look.error is not None:
        for each in look.sources:
            console.note(f"  {each.as_text()}")
        raise look.error
    return look, tuple(not_checked)


def _is_here(data: Data, folder: Path) -> bool:
    """False for a path that exists only on the data volume of a cluster."""
    from starfreight.jobs.data.sources import kind_of

    local = kind_of(data.source, folder / data.source).local_path(data.source)
    return local is None or (folder / local).exists()
