"""The whole chain of a package again: prepare, train, press, each step compared with the recorded one."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.base_model import known_license, public_name
from starfreight.commands.repeated_training import Repeated, Step
from starfreight.console import Console, human_count
from starfreight.errors import GateError, InputError, JobStopped, RecipeError
from starfreight.recipe import Base, Recipe, RunOptions
from starfreight.run import ADAPTER_FOLDER, DATA_MANIFEST, IMATRIX_FILE, Inputs, Run

if TYPE_CHECKING:
    from starfreight.packager.provenance.recorded import Provenance
    from starfreight.packager.registry.open_package import Opened

_NAMES = 10
"""Names of changed files shown for each source and kind of change."""
_DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class TrainRequest:
    """Request to repeat a package from its raw data.

    Attributes:
        recipe_folder: directory where the recipe's relative paths start.
        base: directory of a base model that the recipe names by a local path; ``None`` for that path.
        force: also where training cannot give the same bits.
        quantizations: files to rebuild; all of them if empty.
        out: directory to keep the run and the files in; ``None`` to keep nothing.
        fetch: download a published file that differs.
        threads: of the press.
    """

    recipe_folder: Path
    base: Path | None
    force: bool
    quantizations: tuple[str, ...]
    out: Path | None
    fetch: bool
    threads: int | None


def train_again(opened: Opened, request: TrainRequest, console: Console) -> Repeated:
    """Repeat a package from its raw data, and compare each step with the recorded one.

    Args:
        opened: the package.
        request: places and options.
        console: shows progress.

    Raises:
        InputError: the training cannot give the same bits, or an input is missing.
        GateError: the base model is not the recorded one, or the package is damaged.
        StarfreightError: training failed or was stopped.
    """
    from starfreight.packager.layout import verify_layout
    from starfreight.packager.provenance.rebuild.check_inputs import check_base
    from starfreight.packager.provenance.rebuild.press_again import work_directory
    from starfreight.packager.provenance.rebuild.rebuild_package import RebuildRequest, rebuild_package
    from starfreight.packager.provenance.rebuild.recorded_build import read_recorded_build
    from starfreight.packager.provenance.rebuild.tool_versions import other_versions

    build = read_recorded_build(opened)
    provenance = build.provenance
    if not request.force:
        _check_repeatable(provenance, opened.where)
    if opened.reference is None:
        verify_layout(opened.folder, console)
    versions = other_versions(provenance, training=True)
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(work_directory())
        runs = (request.out or work) / "runs"
        recipe = _local_recipe(provenance, request, work)
        directory = _prepare(recipe, request.recipe_folder, runs, console)
        base = Path(Inputs.load(directory).base)
        check_base(base, provenance, console)
        steps = [_data_step(opened, provenance, directory)]
        if steps[-1].same:
            _train(directory, runs, provenance, console, kept=request.out is not None)
            steps += _training_steps(provenance, Run.load(directory))
        rebuilt = None
        if all(step.same for step in steps):
            imatrix = directory / IMATRIX_FILE if provenance.imatrix is not None else None
            made = RebuildRequest(
                base,
                directory / ADAPTER_FOLDER,
                imatrix,
                request.quantizations,
                request.out,
                request.fetch,
                request.threads,
            )
            rebuilt = rebuild_package(opened, made, console)
        return Repeated(opened.where, tuple(steps), rebuilt, versions, request.out)


def _check_repeatable(provenance: Provenance, where: str) -> None:
    """Refuse a training whose bits depend on more than the recipe.

    Raises:
        InputError: it ran on a GPU, or in several processes.
    """
    from starfreight.packager.provenance.rebuild.recorded_build import recorded_machine

    machine = recorded_machine(provenance)
    device, processes = str(machine.get("device")), machine.get("processes", 1)
    if device == "cpu" and processes == 1:
        return
    how = f"in {human_count(processes, 'processes')}" if device == "cpu" else f"on {device[:80]}"
    raise InputError(
        f"The package was trained {how}. The same bits are promised only for one process on a CPU: sums on "
        "a GPU, and between processes, depend on the hardware and on timing.",
        where=where,
        fix="rebuild the files from the adapter: --adapter or --run; or try all the same: --force",
    )


def _local_recipe(provenance: Provenance, request: TrainRequest, work: Path) -> Recipe:
    """The recorded recipe, to run as a process on this machine with the recorded number of threads."""
    from starfreight.packager.provenance.rebuild.recorded_build import recorded_machine

    machine = recorded_machine(provenance)
    threads, processes = machine.get("threads"), machine.get("processes", 1)
    run = RunOptions(where="local", allow_little_data=True).changed(
        threads=threads if isinstance(threads, int) else None,
        processes=processes if isinstance(processes, int) and processes > 1 else None,
    )
    recipe = provenance.recipe.model_copy(update={"run": run, "publish": None})
    if request.base is None:
        return recipe
    model = recipe.base.model
    if not model.startswith((".", "/", "~")):
        raise InputError(
            "With --train, --base is only for base models that the recipe names by a local path; "
            f"this one is {model[:200]}.",
            where=str(request.base),
            fix="leave --base out: the base comes from the hub, the registry or their caches",
        )
    # Under the name it had: the adapter's config holds it.
    link = work / "base" / public_name(model)
    link.parent.mkdir()
    link.symlink_to(request.base.resolve())
    license_name = known_license(recipe.base)
    return recipe.model_copy(update={"base": Base(model=str(link), license=license_name)})


def _prepare(recipe: Recipe, folder: Path, runs: Path, console: Console) -> Path:
    from starfreight.jobs.kinds.table import find_kind

    try:
        (directory,) = find_kind("train").prepare([recipe], folder.resolve(), runs, console)
    except RecipeError as error:
        raise RecipeError(
            error.what,
            where=error.where,
            fix="name the directory where the recipe's paths start with --recipe-folder"
            + (f"; or {error.fix}" if error.fix else ""),
        ) from error
    return directory


def _data_step(opened: Opened, provenance: Provenance, directory: Path) -> Step:
    """Compare the data manifests; if they differ, the texts in them."""
    from starfreight.data_manifest import DataManifest
    from starfreight.package_training_data import read_training_data
    from starfreight.packager.provenance.diff.data_changes import compare_data
    from starfreight.packager.provenance.diff.data_lines import change_lines
    from starfreight.packager.provenance.diff.training_files import files_of_manifest, files_of_statement

    found = Run.load(directory).data_manifest.digest
    recorded = provenance.data_manifest
    if found == recorded:
        return Step("data", recorded, found, True)
    manifest = read_training_data(opened.folder, opened.package)
    before = files_of_manifest(manifest) if manifest else files_of_statement(provenance)
    if before is None:
        why = "The package does not hold its data manifest: the files that changed are unknown."
        return Step("data", recorded, found, False, (why,))
    after = files_of_manifest(DataManifest.load(directory / DATA_MANIFEST))
    changes = compare_data(before, after, _NAMES)
    if not any(changes.counts.values()) and not changes.sources:
        why = "All texts are the same; the manifests describe them otherwise."
        return Step("data", recorded, found, True, (why,), changes.as_dict())
    return Step("data", recorded, found, False, tuple(change_lines(changes)), changes.as_dict())


def _train(directory: Path, runs: Path, provenance: Provenance, console: Console, *, kept: bool) -> None:
    from starfreight.jobs.backends.interface import Location
    from starfreight.jobs.backends.table import open_backend
    from starfreight.packager.provenance.rebuild.recorded_build import recorded_machine

    if Run.load(directory).is_trained(directory):
        raise InputError(
            "The directory holds this run already: nothing would be trained again.",
            where=str(directory),
            fix="name an empty directory with --out; or rebuild the files from this run with --run",
        )
    on_cpu = recorded_machine(provenance).get("device") == "cpu"
    try:
        with _without_gpus() if on_cpu else contextlib.nullcontext():
            open_backend("local", Location(runs)).resume(str(directory), console, detach=False)
    except JobStopped as error:
        if not kept:
            error.what = "The training stopped on request."
            error.where, error.fix = None, "to keep its checkpoints for the next time, add --out DIR"
        raise
    if not Run.load(directory).is_done(directory):
        raise GateError(
            "The training has ended without all of its results.", where=str(directory), fix="run it again"
        )


@contextlib.contextmanager
def _without_gpus() -> Iterator[None]:
    """Hide this machine's GPUs from a job that is to run on the CPU."""
    before = os.environ.get(_DEVICES)
    os.environ[_DEVICES] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ[_DEVICES]
        else:
            os.environ[_DEVICES] = before


def _training_steps(provenance: Provenance, run: Run) -> Iterator[Step]:
    """Compare the files that training leaves behind."""
    assert run.outcome is not None
    found = {each.path: each.digest for each in run.outcome.adapter}
    for name in sorted(provenance.adapter.keys() | found.keys()):
        recorded, here = provenance.adapter.get(name), found.get(name)
        lines = () if recorded == here else tuple(_machine_lines(provenance, run))
        yield Step(name, recorded, here, recorded == here, lines)
    if provenance.imatrix is not None:
        here = run.imatrix.imatrix.digest if run.imatrix else None
        yield Step("importance matrix", provenance.imatrix, here, provenance.imatrix == here)


def _machine_lines(provenance: Provenance, run: Run) -> Iterator[str]:
    """Differences of the hardware: other vector instructions sum in another order."""
    from starfreight.packager.provenance.rebuild.recorded_build import recorded_machine

    recorded, here = recorded_machine(provenance), run.machine.model_dump() if run.machine else {}
    for key in sorted(recorded.keys() & here.keys()):
        # Records of earlier versions name the processor's architecture alone.
        if recorded[key] != here[key] and recorded[key] != platform.machine():
            yield f"{key}: {str(recorded[key])[:80]} recorded, {str(here[key])[:80]} here"
