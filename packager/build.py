"""From a run's folder to a package: press, describe, write."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from packager.card import render_card
from packager.layout import verify_layout
from packager.licenses import license_texts
from packager.press import ModelIdentity, PressedFile, PressRequest, press
from packager.press.metadata import Origin
from packager.press.press import LoadDtype
from packager.provenance import PREDICATE_TYPE, make_statement
from packager.templates import settings, template_text
from packager.write_package import GgufFile, PackageContents, write_package
from starfreight.base_model import locate_base, public_name
from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.errors import GateError, InputError, StarfreightError
from starfreight.files import PARTIAL_PREFIX, disk_errors, only_one, read_json, sha256_file
from starfreight.license_files import read_from_run
from starfreight.package import PACKAGE_FILE, BaseOrigin, Package
from starfreight.quantization import Quantization
from starfreight.run import ADAPTER_FOLDER, Inputs, Run

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
        InputError: the run is not finished, or the base model or the adapter is not the run's.
        GateError: the license's text is missing.
        ServiceError: the disk is full.
    """
    run = Run.load(folder)
    if run.status != "done" or run.outcome is None or run.ended is None:
        raise InputError(
            f"The run is not finished: its status is {run.status!r}.",
            where=str(folder),
            fix="finish it with starfreight jobs run RECIPE",
        )
    if not run.is_done(folder):
        raise GateError(
            "The adapter is not the one that the run left: a file of it has changed or is missing.",
            where=str(folder / ADAPTER_FOLDER),
            fix="restore it, or run starfreight jobs run RECIPE, which trains it again",
        )
    chosen = tuple(dict.fromkeys(Quantization.parse(item) for item in quantize))
    quantizations = chosen or run.recipe.package.quantizations
    found = _finished(out, run, quantizations, console)
    if found is not None:
        console.note(f"{out} is built already.")
        return found
    inputs = Inputs.load(folder)
    base_folder = _base_of(run, inputs, base)
    manifest = _data_manifest(run, folder)
    licenses = license_texts(
        run.recipe.package, run.base.license, base_folder, read_from_run(run.recipe.package, folder)
    )
    context_length = open_checkpoint(base_folder).shape.context_length

    # Beside the package, so that the files can be moved into it without a copy.
    work = out.parent / f"{PARTIAL_PREFIX}{out.name}"
    with only_one(work, "building this package"), disk_errors(work):
        for left in work.iterdir():
            if left.name != ".lock":  # What a killed process left.
                left.unlink()
        try:
            pressed = press(
                PressRequest(
                    base=base_folder,
                    adapter=folder / ADAPTER_FOLDER,
                    quantizations=quantizations,
                    out=work,
                    name=run.recipe.name,
                    identity=_identity(run, manifest),
                    merge_base=run.recipe.package.merge.base,
                    load_dtype=_load_dtype(run),
                ),
                console,
            )
            contents = _contents(run, manifest, pressed)
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


def _base_of(run: Run, inputs: Inputs, given: Path | None) -> Path:
    given = given or Path(inputs.base)
    if not given.is_dir():
        given = locate_base(run.recipe.base, Path(inputs.recipe_folder))
    for file in run.base.files:
        path = given / file.path
        if not path.is_file() or sha256_file(path) != file.digest:
            raise GateError(
                "The base model is not the one that the adapter was trained on.",
                where=str(path),
                fix="name the right folder with --base",
            )
    return given


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


def _identity(run: Run, manifest: dict[str, Any]) -> ModelIdentity:
    card = run.recipe.package.card
    name = public_name(run.base.model)
    hub = f"https://huggingface.co/{name}" if run.base.revision else None
    return ModelIdentity(
        name=card.title or run.recipe.name,
        description=card.description or None,
        license=run.license,
        base_models=(
            Origin(
                name=name.rsplit("/", 1)[-1],
                organization=name.split("/")[0] if hub else None,
                version=run.base.revision or run.base.digest,
                repo_url=hub,
            ),
        ),
        datasets=tuple(
            Origin(name=public_name(source["source"]), version=source["revision"])
            for source in manifest["sources"]
        ),
        tags=("code", "fill-in-the-middle"),
    )


def _contents(run: Run, manifest: dict[str, Any], pressed: tuple[PressedFile, ...]) -> dict[str, Any]:
    package = run.recipe.package
    made = [file.quantization for file in pressed]
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
        "model_card": render_card(run, manifest, pressed),
        "provenance": make_statement(
            run, manifest, [(f.path.name, f.digest) for f in pressed], quantizations=made
        ),
        "provenance_predicate": PREDICATE_TYPE,
        "template": template_text(run.recipe),
        "system": package.system,
    }
