"""A package as a directory of plain files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.install.folder import WrittenFolder, write_folder
from starfreight.packager.install.install import choose_variant
from starfreight.packager.install.interface import Model, Source
from starfreight.packager.install.models import package_model
from starfreight.packager.install.sources import PackageSource
from starfreight.quantization import Quantization


def export_package(folder: Path, to: Path, variants: Sequence[str], console: Console) -> WrittenFolder:
    """Write a package's variants as plain files.

    Args:
        folder: the package's directory.
        to: the directory to write.
        variants: quantizations, the Modelfile's first; empty for all, the default variant first.
        console: shows progress.

    Raises:
        InputError: no package there, no such variant, or ``to`` holds other files.
        GateError: a file of the package is damaged.
        ServiceError: the disk is full or not writable.
    """
    package = Package.load(folder)
    source = PackageSource(folder)
    models = package_models(package, variants, source)
    return write_folder(models, to, source, console)


def package_models(package: Package, variants: Sequence[str], source: Source) -> list[Model]:
    """Variants of a package: the named ones, or all with the default one first.

    Raises:
        InputError: no such variant.
        GateError: a manifest of the package is missing or damaged.
    """
    chosen = [choose_variant(package, Quantization.parse(each), source.where) for each in variants] or [
        package.default_variant,
        *(each for each in package.variants if each != package.default_variant),
    ]
    return [package_model(package, variant, source) for variant in dict.fromkeys(chosen)]
