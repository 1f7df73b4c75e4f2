"""``starfreight package build``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import stream_option, with_console
from starfreight.packager.cli.next_commands import next_commands
from starfreight.packager.cli.summary import summary

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("build")
@click.argument("run")
@click.option("--out", type=_FOLDER, default=None, help="Package directory. [default: packages/RUN-ID]")
@click.option("--base", type=_FOLDER, default=None, help="Base model, if it has moved since the run.")
@click.option(
    "--quantize",
    multiple=True,
    metavar="TYPE",
    help="Quantization to build instead of the recipe's (repeatable).",
)
@click.option(
    "--no-loss-check",
    is_flag=True,
    help="Do not compare a file's loss in llama.cpp with training's. The package records it as skipped.",
)
@stream_option
@with_console
def build_package_command(
    run: str,
    out: Path | None,
    base: Path | None,
    quantize: tuple[str, ...],
    no_loss_check: bool,
    stream_base: bool | None,
    console: Console,
) -> None:
    """Build the package of a finished RUN: merge, convert, quantise, check, describe.

    A file must have the loss that training measured; otherwise the command exits with 3 and writes no
    package.

    The package is an OCI image layout: every file under its digest, ready for any registry.

    RUN is a directory, or the address of a run in the store of a cluster's results, which is fetched to
    runs/RUN-ID first.

    \b
        starfreight package build runs/acme-coder-1f2e3d4c5b
        starfreight package build oci://ghcr.io/acme/runs:acme-coder-1f2e3d4c5b --base ./starcoder2-3b
        starfreight package verify packages/acme-coder-1f2e3d4c5b
    """
    from starfreight.directories import refuse_link
    from starfreight.packager.build.build_package import build_package
    from starfreight.results.address import is_address
    from starfreight.results.receive import fetch_run

    folder = fetch_run(run, Path("runs"), console) if is_address(run) else Path(run)
    if folder.is_file():
        raise click.BadParameter(f"Directory {run!r} is a file.", param_hint="'RUN'")
    # Other quantizations make another package; it must not replace the recipe's.
    name = "-".join([folder.resolve().name, *quantize]).lower()
    if out is None:
        out = Path("packages") / name
        refuse_link(out, below=out.parent)
    built = build_package(
        folder, out, base, console, quantize, skip_loss_check=no_loss_check, stream=stream_base
    )
    console.result(
        {"package": str(out), **summary(built, out)},
        f"Package written to {out}.\n{next_commands(out)}",
    )
