"""A package as a directory of plain files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from starfreight.console import Console
from starfreight.files import disk_errors, write_bytes
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.install.folder import (
    RECORD,
    SIGNATURE_FILE,
    WrittenFolder,
    folder_files,
    write_folder,
)
from starfreight.packager.install.install import choose_variant
from starfreight.packager.install.interface import Model, Source
from starfreight.packager.install.models import package_model
from starfreight.packager.install.sources import PackageSource
from starfreight.quantization import Quantization


def export_package(folder: Path, to: Path, variants: Sequence[str], console: Console) -> WrittenFolder:
    """Write a package's variants and its record as plain files.

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
    from starfreight.packager.record.write_record import check_record

    package = Package.load(folder)
    source = PackageSource(folder)
    models = package_models(package, variants, source)
    check_record(folder, package)
    written = write_folder(models, to, source, console)
    signature = _signature(package, models, to, folder, console)
    return replace(
        written, names=(*written.names, *signature, *_record(package, to, folder, signature, console))
    )


def _record(
    package: Package, to: Path, folder: Path, signature: tuple[str, ...], console: Console
) -> tuple[str, ...]:
    """Writes the package's record beside the models, unless a model signature allows no further file."""
    from starfreight.directories import delete
    from starfreight.packager.record.write_record import write_record

    if not signature:
        return tuple(f"{RECORD}/{name}" for name in write_record(folder, package, to / RECORD))
    with disk_errors(to):
        delete(to / RECORD, below=to)
    console.note(
        f"{RECORD}/ is not written: {SIGNATURE_FILE} allows no further files. Write it elsewhere: "
        "starfreight package export PACKAGE DIRECTORY --only-record"
    )
    return ()


def _signature(
    package: Package, models: Sequence[Model], to: Path, folder: Path, console: Console
) -> tuple[str, ...]:
    """Writes the model signature over these files, if the package has one; a stale one is removed."""
    from starfreight.packager.provenance.signing.model_signature import MODEL_SIGNATURE, exported_signature

    path = to / SIGNATURE_FILE
    signature = exported_signature(package, ImageLayout(folder), folder_files(models))
    with disk_errors(to):
        if signature is None:
            path.unlink(missing_ok=True)
            if any(each.artifact_type == MODEL_SIGNATURE for each in package.attachments):
                console.note(
                    f"{SIGNATURE_FILE} is not written: the package's model signatures are of all variants "
                    "together and of each alone, as exported by the version that signed it."
                )
            return ()
        write_bytes(path, signature)
        return (SIGNATURE_FILE,)


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
