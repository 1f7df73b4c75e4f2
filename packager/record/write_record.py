"""Write the record of a package as plain files, verified, deterministic.

names = write_record(folder, package, Path("out/record"))
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from starfreight.console import no_progress
from starfreight.directories import delete, move
from starfreight.errors import InputError
from starfreight.files import PARTIAL_PREFIX, disk_errors, write_bytes
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import PACKAGE_FILE, Package
from starfreight.packager.install.sources import PackageSource
from starfreight.packager.provenance.withdrawal.read import read_withdrawals
from starfreight.packager.record.files import record_files
from starfreight.packager.record.readme import CHECKSUMS, readme

_README = "README.md"


def write_record(folder: Path, package: Package, to: Path) -> tuple[str, ...]:
    """Write the record, in the place of an earlier one.

    Args:
        folder: the package's directory; its models are not read.
        package: its record.
        to: directory of the record, as a whole: everything else in it is deleted. It appears complete.

    Returns:
        Names of the files.

    Raises:
        GateError: a file of the package is missing or damaged.
        InputError: a symbolic link stands in the way.
        ServiceError: the disk is full or not writable.
    """
    layout, source = ImageLayout(folder), PackageSource(folder)
    files = record_files(package, layout)
    withdrawals = read_withdrawals(package, layout)
    work = to.parent / f"{PARTIAL_PREFIX}{to.name}"
    with disk_errors(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        delete(work, below=to.parent)
        try:
            sums: dict[str, str] = {}
            for each in files:
                (work / each.name).parent.mkdir(parents=True, exist_ok=True)
                source.fetch(each.blob, work / each.name, no_progress)
                sums[each.name] = each.blob.digest.removeprefix("sha256:")
            package.save(work)
            write_bytes(work / _README, readme(package, files, withdrawals).encode())
            for name in (PACKAGE_FILE, _README):
                sums[name] = hashlib.sha256((work / name).read_bytes()).hexdigest()
            lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
            write_bytes(work / CHECKSUMS, lines.encode())
            delete(to, below=to.parent)
            move(work, to, below=to.parent)
        finally:
            delete(work, below=to.parent)
    return (*sorted(sums), CHECKSUMS)


def check_record(folder: Path, package: Package) -> None:
    """Make sure that the files of a record are there, before gigabytes are written beside it.

    Raises:
        GateError: one is missing, or has another size.
    """
    layout = ImageLayout(folder)
    for each in record_files(package, layout):
        with layout.open(each.blob):
            pass


def refuse_other_directory(to: Path) -> None:
    """Make sure that a directory is empty, missing, or an earlier record.

    Raises:
        InputError: it is another directory, or a file.
    """
    if to.is_symlink() or (to.exists() and not to.is_dir()):
        raise InputError("This is not a directory.", where=str(to), fix="choose another directory")
    entries = {each.name for each in to.iterdir()} if to.exists() else set()
    if entries and not entries >= {PACKAGE_FILE, CHECKSUMS, _README, "manifests"}:
        raise InputError(
            "The directory holds something other than the record of a package.",
            where=str(to),
            fix="choose an empty directory",
        )
