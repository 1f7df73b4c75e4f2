"""``starfreight package rebuild``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from starfreight.console import Console
from starfreight.options import QuantizationCommand, stream_option, with_console

if TYPE_CHECKING:
    from starfreight.checkpoint import StreamedBase
    from starfreight.packager.build.base_source import Streaming
    from starfreight.packager.registry.open_package import Opened
    from starfreight.run import Run

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("rebuild", cls=QuantizationCommand)
@click.argument("package", metavar="PACKAGE|REF")
@click.option(
    "--base",
    type=_FOLDER,
    default=None,
    help="Base model directory. [default: the one that the recipe names, from the hub or registry if needed]",
)
@click.option("--adapter", type=_FOLDER, default=None, help="LoRA adapter directory of the run.")
@click.option(
    "--run",
    "run_folder",
    type=_FOLDER,
    default=None,
    help="Run directory, for its adapter, its importance matrix and the path of its base.",
)
@click.option(
    "--imatrix",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Importance matrix of the run (imatrix.gguf), if the package was built with one.",
)
@click.option("--train", is_flag=True, help="Train the adapter again, too, from the raw data.")
@click.option(
    "--recipe-folder",
    type=_FOLDER,
    default=Path(),
    help="Directory where the recipe's relative paths start. [default: the current directory]",
)
@click.option("--force", is_flag=True, help="With --train: also if training cannot give the same bits here.")
@click.option(
    "--quantize",
    multiple=True,
    metavar="TYPE",
    help="Quantization to rebuild instead of all (repeatable).",
)
@click.option("--out", type=_FOLDER, default=None, help="Keep the rebuilt files in this directory.")
@click.option(
    "--compare",
    is_flag=True,
    help="Download a published file that differs from a registry, to find the first difference.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    default=None,
    help="Threads of the press; the bytes are the same. [default: one per core]",
)
@stream_option
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def rebuild_command(
    package: str,
    base: Path | None,
    adapter: Path | None,
    run_folder: Path | None,
    imatrix: Path | None,
    train: bool,
    recipe_folder: Path,
    force: bool,
    quantize: tuple[str, ...],
    out: Path | None,
    compare: bool,
    threads: int | None,
    stream_base: bool | None,
    insecure: bool,
    console: Console,
) -> int:
    """Make the GGUF files of a package again from base and adapter, and compare them bit by bit.

    Inputs are checked against the digests in the provenance statement first. For each file the command
    prints "bit-identical", or the first metadata key or tensor that differs, its offset, and the size of the
    difference. No disk is needed for the models unless --out keeps them or one differs. From a registry, the
    models are not downloaded: the digests are enough.

    With --train, the recipe in the statement runs again from the raw data in a fresh directory: data, adapter
    and files are compared step by step, and the first step that differs is named. The same bits are
    promised on the same kind of CPU with the same versions, not on GPUs.

    Exits 3 if a file differs, or an input is not the recorded one.

    \b
        starfreight package rebuild packages/NAME --base ./starcoder2-3b --adapter runs/NAME/adapter
        starfreight package rebuild ghcr.io/acme/coder:1.0 --run runs/NAME
        starfreight package rebuild packages/NAME --train --recipe-folder .
    """
    from starfreight.packager.registry.open_package import open_package

    if sum((adapter is not None, run_folder is not None, train)) != 1:
        raise click.UsageError("Give exactly one of --adapter, --run and --train.")
    if force and not train:
        raise click.UsageError("--force has no effect without --train.")
    if train and imatrix is not None:
        raise click.UsageError("--imatrix has no effect with --train, which computes it again.")
    if train and stream_base is not None:
        raise click.UsageError(
            "--stream-base has no effect with --train, which reads the base from the disk."
        )
    options: dict[str, Any] = {"quantizations": quantize, "out": out, "fetch": compare, "threads": threads}
    with open_package(package, console, insecure=insecure) as opened:
        if train:
            return _train(opened, base, recipe_folder, options, console, force=force)
        return _rebuild(
            opened, base, adapter, run_folder, imatrix, recipe_folder, stream_base, options, console
        )


def _rebuild(
    opened: Opened,
    base: Path | None,
    adapter: Path | None,
    run_folder: Path | None,
    imatrix: Path | None,
    recipe_folder: Path,
    stream: bool | None,
    options: dict[str, Any],
    console: Console,
) -> int:
    from starfreight.packager.build.base_source import Streaming
    from starfreight.packager.provenance.rebuild.rebuild_package import RebuildRequest, rebuild_package
    from starfreight.run import ADAPTER_FOLDER, IMATRIX_FILE, Run

    run = Run.load(run_folder) if run_folder is not None else None
    if run is not None and run_folder is not None:
        adapter = run_folder / ADAPTER_FOLDER
        if imatrix is None and run.imatrix is not None:
            imatrix = run_folder / IMATRIX_FILE
    assert adapter is not None
    out = options["out"]
    kept = [variant.quantization for variant in opened.package.variants] if out is not None else []
    streaming = Streaming(stream, out or Path(), kept)
    source = base or _find_base(opened, run, run_folder, recipe_folder, streaming, console)
    rebuilt = rebuild_package(opened, RebuildRequest(source, adapter, imatrix, **options), console)
    head = (
        f"{opened.where}: base and adapter give the published bytes."
        if rebuilt.is_identical
        else f"{opened.where}: base and adapter do not give the published bytes."
    )
    console.result(rebuilt.as_dict(), "\n".join([head, *rebuilt.as_lines()]))
    return 0 if rebuilt.is_identical else 3


def _find_base(
    opened: Opened,
    run: Run | None,
    run_folder: Path | None,
    recipe_folder: Path,
    streaming: Streaming,
    console: Console,
) -> Path | StreamedBase:
    """The base model that the run has used, or that the recipe names."""
    from starfreight.errors import InputError, RecipeError
    from starfreight.packager.build.base_source import find_base
    from starfreight.packager.build.build_package import base_of
    from starfreight.packager.provenance.recorded import read_provenance

    try:
        if run is not None and run_folder is not None:
            return base_of(run, run_folder, None, streaming, console)
        recipe = read_provenance(opened.folder, opened.package).recipe
        return find_base(recipe.base, recipe_folder, streaming, console)
    except RecipeError as error:
        fix = "name the base model's directory with --base"
        raise InputError(error.what, where=error.where, fix=fix) from error


def _train(
    opened: Opened,
    base: Path | None,
    recipe_folder: Path,
    options: dict[str, Any],
    console: Console,
    *,
    force: bool,
) -> int:
    from starfreight.commands.train_again import TrainRequest, train_again

    request = TrainRequest(recipe_folder=recipe_folder, base=base, force=force, **options)
    repeated = train_again(opened, request, console)
    console.result(repeated.as_dict(), "\n".join(repeated.as_lines()))
    return 0 if repeated.is_identical else 3
