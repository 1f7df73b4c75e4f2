"""``starfreight package`` and ``starfreight publish``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console, with_console_and_no_short_quiet
from starfreight.package import Package

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group()
def package() -> None:
    """Build, inspect and verify packages."""


@package.command("build")
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
def build(
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
        {"package": str(out), **_summary(built, out)},
        f"Package written to {out}. Next: starfreight publish {out} HOST/NAMESPACE/NAME:TAG",
    )


@package.command("press")
@click.argument("base")
@click.option("--adapter", type=_FOLDER, default=None, help="LoRA adapter directory, to merge in.")
@click.option(
    "-q",
    "--quantize",
    multiple=True,
    metavar="TYPE",
    help="Quantization, one file each: Q4_K_M, Q8_0, F16 ... (repeatable).",
)
@click.option("--out", type=_FOLDER, required=True, help="Output directory.")
@click.option("--name", default=None, help="Stem of the file names. [default: the run's or the base's name]")
@click.option(
    "--merge-base",
    type=click.Choice(["original", "nf4_roundtrip"]),
    default="original",
    show_default=True,
    help="Weights to merge into: the base's own, or those after 4-bit training's rounding.",
)
@click.option(
    "--load-dtype",
    type=click.Choice(["BF16", "F32"]),
    default="BF16",
    show_default=True,
    help="Start of nf4_roundtrip: BF16 after training on a GPU, F32 on a CPU.",
)
@click.option(
    "--imatrix",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Importance matrix of the model, from llama-imatrix or a run (imatrix.gguf).",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device to quantise on; auto uses the CPU and a GPU if there is one. The bytes are the same.",
)
@click.option("--lora", is_flag=True, help="Write the adapter as a LoRA file, too.")
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    default=None,
    help="Number of threads. [default: one per core]",
)
@with_console_and_no_short_quiet
def press(console: Console, **options: Any) -> None:
    """Merge, convert and quantise a BASE model (a directory, or builtin:starter) in one pass.

    \b
        starfreight package press starcoder2-3b -q Q4_K_M -q Q8_0 --out gguf
        starfreight package press starcoder2-3b --adapter runs/acme/adapter -q Q4_K_M --lora --out gguf
    """
    from starfreight.packager.build.press_files import PressFilesRequest, press_files
    from starfreight.packager.hashed_file import QuantizedFile

    made = press_files(PressFilesRequest(**options), console)
    listed = [
        {
            "kind": str(file.quantization) if isinstance(file, QuantizedFile) else "LoRA",
            "path": str(file.path),
            "digest": file.digest,
            "size": file.size,
        }
        for file in made
    ]
    lines = [f"{human_count(file.size, 'B'):>9}  {file.digest}  {file.path}" for file in made]
    console.result({"files": listed}, "\n".join(lines))


@package.command("inspect")
@click.argument("package", type=_FOLDER)
@with_console
def inspect(package: Path, console: Console) -> None:
    """Show the contents of a PACKAGE, unverified (see verify)."""
    from starfreight.packager.loss_check import check_in_words
    from starfreight.packager.provenance import recorded_loss_check

    found = Package.load(package)
    lines = [
        f"{found.title} ({found.architecture}, {found.parameters:,} parameters)",
        f"  base     {found.base.name}" + (f" at {found.base.revision}" if found.base.revision else ""),
        f"  run      {found.run}, ended {found.created}",
        f"  license  {', '.join(license.name for license in found.licenses)}",
    ]
    for variant in found.variants:
        default = " (default)" if variant.quantization == found.default else ""
        size = human_count(variant.gguf.size, "B")
        lines.append(f"  {variant.quantization:8} {size:>9}  {variant.gguf.digest}{default}")
    if found.adapter is not None:
        size = human_count(found.adapter.size, "B")
        lines.append(f"  {'LoRA':8} {size:>9}  {found.adapter.digest} (beside the base in each of the above)")
    checked = recorded_loss_check(package, found)
    if checked is not None:
        lines.append(f"  loss     {check_in_words(checked)}")
    console.result(_summary(found, package), "\n".join(lines))


@package.command("verify")
@click.argument("package", type=_FOLDER)
@with_console
def verify(package: Path, console: Console) -> None:
    """Check the digest of every file of a PACKAGE.

    Exits 3 if a file is corrupt, missing or unexpected.
    """
    from starfreight.packager.layout import verify_layout

    report = verify_layout(package, console)
    console.result(
        {"package": str(package), "verified": True, "files": report.files, "bytes": report.bytes},
        f"{package} is whole: {report.files} files, {human_count(report.bytes, 'B')}, all digests match.",
    )


@click.command("publish")
@click.argument("package", type=_FOLDER)
@click.argument("reference")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def publish(package: Path, reference: str, insecure: bool, console: Console) -> None:
    """Push a PACKAGE to a registry as HOST/NAMESPACE/NAME:TAG.

    Each quantization gets its own tag (TAG-q4_K_M), and the default one the plain TAG, too. The same tags
    with the suffix -oci name ModelPack manifests of the same files.

    Credentials come from STARFREIGHT_REGISTRY_USERNAME and STARFREIGHT_REGISTRY_PASSWORD, or from
    docker login.

    \b
        starfreight publish packages/acme-coder ghcr.io/acme/coder:1.0
    """
    from starfreight.packager.registry import publish as push

    published = push(package, reference, insecure=insecure, console=console)
    console.result(published.as_dict(), published.as_text())


def _summary(package: Package, folder: Path) -> dict[str, object]:
    from starfreight.packager.provenance import recorded_loss_check

    return {
        "name": package.name,
        "run": package.run,
        "base": package.base.model_dump(),
        "default": package.default,
        "adapter": package.adapter and {"digest": package.adapter.digest, "size": package.adapter.size},
        "licenses": [license.name for license in package.licenses],
        "provenance": package.provenance.digest,
        "loss_check": recorded_loss_check(folder, package),
        "variants": [
            {"quantization": v.quantization, "tag": v.tag, "digest": v.gguf.digest, "size": v.gguf.size}
            for v in package.variants
        ],
    }
