"""From a run's folder to a package: press, describe, write."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from starfreight.packager.build.base_files import check_base_files
from starfreight.packager.card import render_card
from starfreight.packager.build.identity import SHARED_BASE, tuned_identity
from starfreight.packager.layout import verify_layout
from starfreight.packager.build.licenses import license_texts
from starfreight.packager.press import LoraFile, LoraRequest, PressedFile, PressRequest, press, press_lora
from starfreight.packager.press.names import model_stem
from starfreight.packager.press.press import LoadDtype
from starfreight.packager.provenance import PREDICATE_TYPE, make_statement
from starfreight.packager.build.templates import settings, template_text
from starfreight.packager.layout.write_package import GgufFile, PackageContents, write_package
from starfreight.base_model import STARTER, locate_base, public_name
from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.errors import GateError, InputError, StarfreightError
from starfreight.files import LOCK_FILE, PARTIAL_PREFIX, disk_errors, only_one, read_json, sha256_file
from starfreight.license_files import read_from_run
from starfreight.package import PACKAGE_FILE, BaseOrigin, Package
from starfreight.quantization import Quantization
from starfreight.run import ADAPTER_FOLDER, IMATRIX_FILE, INPUTS_FILE, Inputs, Run

_MANIFEST_LIMIT = 1 << 30


def build_package(
    folder: Path, out: Path, base: Path | None, console: Console, quantize: tuple[str, ...] = ()
) -> Package:
    """Makes the package of a finished run, or finds it made.

    Args:
        folder: the run's folder.
        out: the package's folder.
        base: the base model's folder when it is no longer where the run found it.
        console: shows progress.
        quantize: the quantizations to make; those of the recipe when there are none.

    Raises:
        RecipeError: there is no such quantization.
        InputError: the run is not finished, or the base model or the adapter cannot be used.
        GateError: the base model or the adapter is not the run's, or the license's text is missing.
        ServiceError: the disk is full.
    """
    run = Run.load(folder)
    if run.status != "done" or run.outcome is None or run.ended is None:
        raise InputError(
            f"The run is not finished: its status is {run.status!r}.",
            where=str(folder),
            fix="finish it with starfreight jobs run RECIPE",
        )
    if not run.is_trained(folder):
        raise GateError(
            "The adapter is not the one that the run left: a file of it has changed or is missing.",
            where=str(folder / ADAPTER_FOLDER),
            fix="restore it, or run starfreight jobs run RECIPE, which trains it again",
        )
    if not run.is_calibrated(folder):
        raise GateError(
            "The recipe asks for an importance matrix, and the run has none, or it has changed.",
            where=str(folder / IMATRIX_FILE),
            fix="run starfreight jobs run RECIPE, which computes it from the trained model",
        )
    chosen = tuple(dict.fromkeys(Quantization.parse(item) for item in quantize))
    quantizations = chosen or run.recipe.package.quantizations
    found = _finished(out, run, quantizations, console)
    if found is not None:
        console.note(f"{out} is built already.")
        return found
    base_folder = _base_of(run, folder, base)
    check_base_files(base_folder, run.base.files, console)
    manifest = _data_manifest(run, folder)
    licenses = license_texts(
        run.recipe.package, run.base.license, base_folder, read_from_run(run.recipe.package, folder)
    )
    context_length = open_checkpoint(base_folder).shape.context_length

    # Beside the package, so that the files can be moved into it without a copy.
    work = out.parent / f"{PARTIAL_PREFIX}{out.name}"
    with only_one(work, "building this package"), disk_errors(work):
        for left in work.iterdir():
            if left.name != LOCK_FILE:  # What a killed process left.
                left.unlink()
        try:
            lora = _press_adapter(run, folder, base_folder, manifest, work, console)
            alone = lora is not None
            pressed = press(
                PressRequest(
                    base=base_folder,
                    adapter=None if alone else folder / ADAPTER_FOLDER,
                    quantizations=quantizations,
                    out=work,
                    name=model_stem(run.recipe.name, with_adapter=alone),
                    identity=SHARED_BASE if alone else tuned_identity(run, manifest),
                    merge_base=run.recipe.package.merge.base,
                    load_dtype=_load_dtype(run),
                    imatrix=folder / run.imatrix.imatrix.path if run.imatrix else None,
                ),
                console,
            )
            contents = _contents(run, manifest, pressed, lora)
            return write_package(
                out,
                PackageContents(
                    **contents,
                    licenses=licenses,
                    context_length=context_length,
                    settings=settings(run.recipe, run.base.architecture, context_length),
                ),
                console,
            )
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _press_adapter(
    run: Run, folder: Path, base: Path, manifest: dict[str, Any], work: Path, console: Console
) -> LoraFile | None:
    """The adapter as a file of its own, where the recipe ships it beside the base."""
    if run.recipe.package.ship == "merged":
        console.heading("Merging, converting and quantising")
        return None
    console.heading("Converting the adapter, converting and quantising the base")
    name, identity = run.recipe.name, tuned_identity(run, manifest)
    return press_lora(LoraRequest(base, folder / ADAPTER_FOLDER, work, name, identity), console)


def _finished(
    out: Path, run: Run, quantizations: tuple[Quantization, ...], console: Console
) -> Package | None:
    """The package in ``out`` when it is whole and of this very run, recipe and quantizations."""
    if not (out / PACKAGE_FILE).exists():
        return None
    try:
        package = Package.load(out)
        if (package.run, package.recipe) != (run.id, run.recipe_digest):
            return None
        if tuple(variant.quantization for variant in package.variants) != quantizations:
            return None
        verify_layout(out, console)
    except StarfreightError:
        return None
    return package


def _base_of(run: Run, folder: Path, given: Path | None) -> Path:
    if given is not None:
        return given
    # A run's folder that was copied from another machine may have no list of the places there.
    places = Inputs.load(folder) if (folder / INPUTS_FILE).exists() else None
    if places is not None and Path(places.base).is_dir():
        return Path(places.base)
    if places is None and run.recipe.base.model != STARTER and run.base.revision is None:
        raise InputError(
            "The run's folder does not say where its base model lies on this machine.",
            where=str(folder / INPUTS_FILE),
            fix=f"name the folder of {public_name(run.base.model)} with --base",
        )
    return locate_base(run.recipe.base, Path(places.recipe_folder) if places else folder)


def _data_manifest(run: Run, folder: Path) -> dict[str, Any]:
    path = folder / run.data_manifest.path
    data = read_json(path, _MANIFEST_LIMIT, "data manifest")
    if sha256_file(path) != run.data_manifest.digest or not isinstance(data, dict):
        raise GateError(
            "The data manifest is not the one that the run was trained with.",
            where=str(path),
            fix="restore it, or train again",
        )
    return data


def _load_dtype(run: Run) -> LoadDtype:
    """The dtype that training loaded the base in: jobs load bfloat16 on a GPU, float32 on a CPU."""
    return "F32" if run.machine is None or run.machine.device == "cpu" else "BF16"


def _contents(
    run: Run, manifest: dict[str, Any], pressed: tuple[PressedFile, ...], lora: LoraFile | None
) -> dict[str, Any]:
    package = run.recipe.package
    made = [file.quantization for file in pressed]
    subjects = [(file.path.name, file.digest) for file in pressed]
    if lora is not None:
        subjects.append((lora.path.name, lora.digest))
    assert run.ended is not None
    return {
        "name": run.recipe.name,
        "title": package.card.title or run.recipe.name,
        "description": package.card.description,
        "authors": package.card.authors,
        "created": datetime.fromisoformat(run.ended),
        "run": run.id,
        "recipe": run.recipe_digest,
        "base": BaseOrigin(
            name=public_name(run.base.model), revision=run.base.revision, digest=run.base.digest
        ),
        "architecture": run.base.architecture,
        "parameters": pressed[0].parameters,
        "ggufs": tuple(GgufFile(f.quantization, f.path, f.digest, f.size) for f in pressed),
        "default": package.default if package.default in made else made[0],
        "adapter": lora and GgufFile(Quantization.F16, lora.path, lora.digest, lora.size),
        "source_url": package.card.repository or package.card.url,
        "model_card": render_card(run, manifest, pressed, lora),
        "provenance": make_statement(run, manifest, subjects, quantizations=made),
        "provenance_predicate": PREDICATE_TYPE,
        "template": template_text(run.recipe),
        "system": package.system,
    }
