"""A package as ``--json`` prints it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starfreight.package import Package


def summary(package: Package, folder: Path) -> dict[str, object]:
    """The contents of a package by name, with the outcome of its loss check."""
    from starfreight.packager.provenance.recorded_loss_check import recorded_loss_check

    return {
        "name": package.name,
        "run": package.run,
        "base": package.base.model_dump(),
        "default": package.default,
        "adapter": package.adapter and {"digest": package.adapter.digest, "size": package.adapter.size},
        "licenses": [license.name for license in package.licenses],
        "documents": [document.name for document in package.documents],
        "provenance": package.provenance.digest,
        "loss_check": recorded_loss_check(folder, package),
        "variants": [
            {"quantization": v.quantization, "tag": v.tag, "digest": v.gguf.digest, "size": v.gguf.size}
            for v in package.variants
        ],
    }
