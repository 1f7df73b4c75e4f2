"""From a finished run's directory to a package: check, press, describe, write."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starfreight.base_artifact import is_artifact
from starfreight.base_model import STARTER, public_name
from starfreight.checkpoint import StreamedBase, folder_of
from starfreight.console import Console
from starfreight.directories import discard
from starfreight.directory_lock import LOCK_FILE, only_one
from starfreight.errors import GateError, InputError, StarfreightError
from starfreight.files import PARTIAL_PREFIX, disk_errors, read_json, sha256_file
from starfreight.gguf.token_losses import has_llama_cpp
from starfreight.image_layout.reader import ImageLayout
from starfreight.license_files import read_from_run
from starfreight.package import PACKAGE_FILE, Package
from starfreight.packager.bom import make_bom, read_facts
from starfreight.packager.build.base_documents import document_texts, with_notices
from starfreight.packager.build.base_files import check_base_files
from starfreight.packager.build.base_source import Streaming, find_base
from starfreight.packager.build.check_loss import BuiltFiles, check_loss
from starfreight.packager.build.data_manifest import data_files, is_data_manifest
from starfreight.packager.build.describe import describe
from starfreight.packager.build.identity import SHARED_BASE, tuned_identity
from starfreight.packager.build.licenses import license_texts
from starfreight.packager.build.templates import has_current_template
from starfreight.packager.card import render_card
from starfreight.packager.card.terms import shipped_notices
from starfreight.packager.file_names import model_stem
from starfreight.packager.layout import verify_layout
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.loss_check import NOT_INSTALLED
from starfreight.packager.model_license import with_data_terms
from starfreight.packager.press import LoraRequest, PressRequest, press, press_lora
from starfreight.packager.press.open_base import open_checked
from starfreight.packager.press.press import LoadDtype
from starfreight.packager.provenance.recorded_loss_check import recorded_loss_check
from starfreight.packager.provenance.statement import PREDICATE_TYPE, make_statement
from starfreight.quantization import Quantization
from starfreight.recipe.ollama_parameters import parameter_notes
from starfreight.run import ADAPTER_FOLDER, IMATRIX_FILE, INPUTS_FILE, Inputs, Run

_MANIFEST_LIMIT = 1 << 30


def build_package(
    folder: Path,
    out: Path,
    base: Path | None,
    console: Console,
    quantize: tuple[str, ...] = (),
    *,
    skip_loss_check: bool = False,
    stream: bool | None = None,
) -> Package:
    """Make the package of a finished run, or find it already made.

    Args:
        folder: the run's directory.
        out: the package's directory.
        base: the base model's directory, if it has moved since the run.
        console: shows progress.
        quantize: the quantizations to make; the recipe's if empty.
        skip_loss_check: true to leave out the comparison with training's loss.
        stream: true to read the base's weights at their source unless they are on this machine; false to
            download them; ``None`` to decide by the room on the disk.

    Raises:
        RecipeError: a quantization does not exist, or a text of the recipe cannot be in a package.
        InputError: the run is not finished, or the base model or the adapter is invalid.
        GateError: the base model or the adapter is not the run's, the license's text is missing, or the file
            has another loss in llama.cpp than training measured.
        ServiceError: the disk is full, or the source of the base model fails.
    """
    run = Run.load(folder)
    _check_finished(run, folder)
    chosen = tuple(dict.fromkeys(Quantization.parse(item) for item in quantize))
    quantizations = chosen or run.recipe.package.quantizations
    found = _already_built(out, run, quantizations, console)
    if found is not None:
        console.note(f"{out} is built already.")
        if not has_current_template(out, found, run.recipe):
            console.note(
                "It has the prompt template of an earlier version of Starfreight. Delete its directory and "
                "build it again for the current one."
            )
        return found
    source = base_of(run, folder, base, Streaming(stream, out, quantizations), console)
    check_base_files(source, run.base.files, console)
    base_folder = folder_of(source)
    manifest = _data_manifest(run, folder)
    licenses = license_texts(
        run.recipe.package, run.base.license, base_folder, read_from_run(run.recipe.package, folder)
    )
    sentences = shipped_notices(run.base.license, run.license)
    licenses = with_data_terms(licenses, run, manifest)
    documents = with_notices(document_texts(base_folder, console), sentences, licenses)
    checkpoint = open_checked(source)
    model = describe(run, checkpoint.shape, licenses, quantizations)
    for note in parameter_notes(run.recipe.package.parameters, checkpoint.shape.sliding_window):
        console.note(note)
    identity = tuned_identity(run, manifest)
    adapter = folder / ADAPTER_FOLDER
    merged = run.recipe.package.ship == "merged"
    with _work_folder(out) as work:
        lora = None
        if merged:
            console.heading("Merging, converting and quantising")
        else:
            console.heading("Converting the adapter, converting and quantising the base")
            lora = press_lora(LoraRequest(checkpoint, adapter, work, model.name, identity), console)
        request = PressRequest(
            base=checkpoint,
            adapter=adapter if merged else None,
            quantizations=quantizations,
            out=work,
            name=model_stem(model.name, with_adapter=not merged),
            identity=identity if merged else SHARED_BASE,
            merge_base=run.recipe.package.merge.base,
            load_dtype=load_dtype(run),
            imatrix=folder / run.imatrix.imatrix.path if run.imatrix else None,
        )
        pressed = press(request, console)
        built = BuiltFiles(run, folder, checkpoint.shape, pressed, lora)
        loss_check = check_loss(built, console, skip=skip_loss_check)
        data = data_files(run, folder)
        subjects = [(file.path.name, file.digest) for file in (*pressed, *([lora] if lora else []))]
        contents = PackageContents(
            model=model,
            files=pressed,
            adapter=lora,
            model_card=render_card(
                model, run, manifest, pressed, lora, loss_check,
                documents=[document.name for document in documents], has_data=data is not None, has_bom=True,
            ),
            provenance=make_statement(
                run, manifest, subjects, quantizations=quantizations, loss_check=loss_check
            ),
            provenance_predicate=PREDICATE_TYPE,
            data=data,
            documents=documents,
            bom=lambda package: make_bom(read_facts(ImageLayout(out), package)),
        )  # fmt: skip
        package = write_package(out, contents, console)
    return _with_rules(run, out, package, console)


def _with_rules(run: Run, out: Path, package: Package, console: Console) -> Package:
    """The package with the quality rules of its recipe, which it misses until it is evaluated."""
    from starfreight.packager.evaluation.attach import set_rules

    if not run.recipe.package.quality:
        return package
    set_rules(out, run.recipe.package.quality, console)
    return Package.load(out)


def _check_finished(run: Run, folder: Path) -> None:
    """Refuse a run without all that its recipe asks for."""
    if run.status != "done" or run.outcome is None or run.ended is None:
        raise InputError(
            f"The run is not finished: its status is {run.status!r}.",
            where=str(folder),
            fix="finish it with starfreight jobs run RECIPE",
        )
    if not run.is_trained(folder):
        raise GateError(
            "The adapter is not the run's: a file of it has changed or is missing.",
            where=str(folder / ADAPTER_FOLDER),
            fix="restore it, or train it again with starfreight jobs run RECIPE",
        )
    if not run.is_calibrated(folder):
        raise GateError(
            "The recipe asks for an importance matrix; the run has none, or it has changed.",
            where=str(folder / IMATRIX_FILE),
            fix="compute it from the trained model with starfreight jobs run RECIPE",
        )


def _already_built(
    out: Path, run: Run, quantizations: tuple[Quantization, ...], console: Console
) -> Package | None:
    """The package in ``out`` if it is whole and of this very run, recipe and quantizations."""
    if not (out / PACKAGE_FILE).exists():
        return None
    try:
        package = Package.load(out)
        if package.run != run.id or package.recipe not in run.recipe_digests:
            return None
        if tuple(variant.quantization for variant in package.variants) != quantizations:
            return None
        verify_layout(out, console)
        checked = recorded_loss_check(out, package)
        if checked and checked.get("reason") == NOT_INSTALLED and has_llama_cpp():
            return None
    except StarfreightError:
        return None
    return package


@contextlib.contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """A directory beside the package, so that files can be moved into it without a copy."""
    work = out.parent / f"{PARTIAL_PREFIX}{out.name}"
    packages = out.parent
    with only_one(work, "building this package", below=packages) as directory, disk_errors(work):
        directory.empty(keep={LOCK_FILE})  # Of what a killed process has left behind.
        try:
            yield work
        finally:
            discard(work, below=packages)


def base_of(
    run: Run, folder: Path, given: Path | None, streaming: Streaming, console: Console
) -> Path | StreamedBase:
    """A run's base model.

    Args:
        run: the record.
        folder: the run's directory.
        given: the directory that the user names, if the base has moved.
        streaming: when to read its weights at their source.
        console: says that they are.

    Raises:
        InputError: it cannot be found.
        RecipeError: the run's recipe names it in a way that means nothing here.
    """
    if given is not None:
        return given
    # A run's directory copied from another machine may have no list of that machine's paths.
    places = Inputs.load(folder) if (folder / INPUTS_FILE).exists() else None
    if places is not None and Path(places.base).is_dir():
        return Path(places.base)
    model = run.recipe.base.model
    travels = model == STARTER or is_artifact(model) or run.base.revision is not None
    if places is None and not travels:
        raise InputError(
            "The run's directory does not record the path of its base model on this machine.",
            where=str(folder / INPUTS_FILE),
            fix=f"name the directory of {public_name(run.base.model)} with --base",
        )
    return find_base(run.recipe.base, Path(places.recipe_folder) if places else folder, streaming, console)


def _data_manifest(run: Run, folder: Path) -> dict[str, Any]:
    path = folder / run.data_manifest.path
    data = read_json(path, _MANIFEST_LIMIT, "data manifest")
    if sha256_file(path) != run.data_manifest.digest or not isinstance(data, dict):
        raise GateError(
            "The data manifest is not the one the run was trained with.",
            where=str(path),
            fix="restore it, or train again",
        )
    if not is_data_manifest(data):
        raise InputError(
            "The data manifest was not written by Starfreight.", where=str(path), fix="train again"
        )
    return data


def load_dtype(run: Run) -> LoadDtype:
    """The dtype in which training loaded the base: jobs use bfloat16 on a GPU, float32 on a CPU."""
    return "F32" if run.machine is None or run.machine.device == "cpu" else "BF16"
