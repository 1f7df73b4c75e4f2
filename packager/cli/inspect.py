"""``starfreight package inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console
from starfreight.packager.cli.evaluations import evaluation_lines, evaluations_as_data
from starfreight.packager.cli.summary import summary

if TYPE_CHECKING:
    from starfreight.package import Package
    from starfreight.packager.provenance.duties import DutyReport

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("inspect")
@click.argument("package", type=_FOLDER)
@with_console
def inspect_package(package: Path, console: Console) -> None:
    """Show the contents of a PACKAGE and the figures of its evaluations, unverified (see verify)."""
    from starfreight.package import Package
    from starfreight.package_evaluations import read_evaluations
    from starfreight.packager.evaluation.gate import check_package
    from starfreight.packager.loss_check import check_in_words
    from starfreight.packager.provenance.recorded_loss_check import recorded_loss_check

    found = Package.load(package)
    lines = [
        f"{found.title} ({found.architecture}, {found.parameters:,} parameters)",
        f"  base     {found.base.name}" + (f" at {found.base.revision}" if found.base.revision else ""),
        f"  run      {found.run}, ended {found.created}",
        f"  license  {', '.join(license.name for license in found.licenses)}",
    ]
    if found.documents:
        lines.append(f"  with     {', '.join(document.name for document in found.documents)}")
    duties = _duties(package, found)
    if duties is not None:
        lines += [f"  duties   {duties.summary}", *(f"  note     {note}" for note in duties.notes)]
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
    evaluations = read_evaluations(package, found)
    if evaluations.evaluations or evaluations.problems:
        lines += ["Evaluations", *evaluation_lines(found, evaluations)]
    verdict = check_package(package, found)
    if verdict is not None:
        lines += [f"Quality gate: {verdict.result}", *(f"  {line}" for line in verdict.as_lines())]
    data = {
        **summary(found, package),
        "license_duties": duties.as_dict() if duties else None,
        "evaluations": evaluations_as_data(evaluations),
        "evaluation_problems": list(evaluations.problems),
        "quality": verdict.as_dict() if verdict else None,
    }
    console.result(data, "\n".join(lines))


def _duties(folder: Path, package: Package) -> DutyReport | None:
    """The license duties; ``None`` if a part of the package that they need is damaged."""
    from starfreight.errors import GateError
    from starfreight.packager.provenance.duties import package_duties

    try:
        return package_duties(folder, package)
    except GateError:
        return None
