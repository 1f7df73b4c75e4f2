"""The head: the model, its base, licenses with their duties, and files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starfreight.console import human_count
from starfreight.package import Package
from starfreight.packager.cli.summary import summary
from starfreight.packager.inspection.interface import Inspected, Shown
from starfreight.packager.loss_check import check_in_words
from starfreight.packager.provenance.duties import package_duties
from starfreight.packager.provenance.recorded_loss_check import recorded_loss_check
from starfreight.pages.visible_text import visible


def model(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    package = inspected.package
    facts = {
        "title": package.title,
        "description": package.description,
        "created": package.created,
        "architecture": package.architecture,
        "parameters": package.parameters,
        "context_length": package.context_length,
        "recipe": package.recipe,
    }
    return Shown("", list(_model(package)), {**summary(package, inspected.folder), **facts})


def _model(package: Package) -> Iterator[str]:
    base = package.base
    yield f"base     {visible(base.name)}" + (f" at {base.revision}" if base.revision else "")
    yield f"run      {visible(package.run)}, ended {package.created}"
    yield f"context  {package.context_length:,} tokens"


def licenses(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    package = inspected.package
    duties = package_duties(inspected.folder, package)
    lines = [f"license  {visible(duties.license)}"]
    texts = tuple(dict.fromkeys(license.name for license in package.licenses))
    if texts != (duties.license,):
        lines.append(f"texts    {visible(', '.join(texts)) or 'none'}")
    if package.documents:
        lines.append(f"with     {', '.join(document.name for document in package.documents)}")
    lines += [f"duties   {duties.summary}", *(f"note     {visible(note)}" for note in duties.notes)]
    return Shown("", lines, {"license": duties.license, "license_duties": duties.as_dict()})


def files(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    package = inspected.package
    lines = []
    for variant in package.variants:
        default = " (default)" if variant.quantization == package.default else ""
        size = human_count(variant.gguf.size, "B")
        lines.append(f"{variant.quantization:8} {size:>9}  {variant.gguf.digest}{default}")
    if package.adapter is not None:
        size = human_count(package.adapter.size, "B")
        lines.append(f"{'LoRA':8} {size:>9}  {package.adapter.digest} (beside the base in each of the above)")
    checked = recorded_loss_check(inspected.folder, package)
    if checked is not None:
        lines.append(f"loss     {check_in_words(checked)}")
    return Shown("", lines)


def withdrawals(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    from starfreight.packager.provenance.withdrawal.read import read_withdrawals

    found = read_withdrawals(inspected.package, inspected.layout, inspected.signatures)
    lines = []
    for each in found:
        lines.append(f"WITHDRAWN: {each.in_words()}")
        if each.superseded_by:
            lines.append(f"  use {each.superseded_by} instead")
    data: dict[str, Any] = {"withdrawn": bool(found), "withdrawals": [each.as_dict() for each in found]}
    return Shown("", lines, data)
