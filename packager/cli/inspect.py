"""``starfreight package inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console
from starfreight.packager.cli.summary import summary

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("inspect")
@click.argument("package", type=_FOLDER)
@with_console
def inspect_package(package: Path, console: Console) -> None:
    """Show the contents of a PACKAGE, unverified (see verify)."""
    from starfreight.package import Package
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
    console.result(summary(found, package), "\n".join(lines))
