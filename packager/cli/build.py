"""``starfreight package build``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console
from starfreight.packager.cli.summary import summary

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("build")
@click.argument("run", type=_FOLDER)
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
@with_console
def build_package_command(
    run: Path,
    out: Path | None,
    base: Path | None,
    quantize: tuple[str, ...],
    no_loss_check: bool,
    console: Console,
) -> None:
    """Build the package of a finished RUN: merge, convert, quantise, check, describe.

    A file must have the loss that training measured; otherwise the command exits with 3 and writes no
    package.

    The package is an OCI image layout: every file under its digest, ready for any registry.

    \b
        starfreight package build runs/acme-coder-1f2e3d4c5b
        starfreight package verify packages/acme-coder-1f2e3d4c5b
    """
    from starfreight.directories import refuse_link
    from starfreight.packager.build.build_package import build_package

    # Other quantizations make another package; it must not replace the recipe's.
    name = "-".join([run.resolve().name, *quantize]).lower()
    if out is None:
        out = Path("packages") / name
        refuse_link(out, below=out.parent)
    built = build_package(run, out, base, console, quantize, skip_loss_check=no_loss_check)
    console.result(
        {"package": str(out), **summary(built, out)},
        f"Package written to {out}. Next: starfreight publish {out} HOST/NAMESPACE/NAME:TAG",
    )
