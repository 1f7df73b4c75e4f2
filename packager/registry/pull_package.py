"""Bring a whole package back from a registry: every variant, with its evidence, as it was published.

The record is attached to each manifest of a package (:mod:`starfreight.packager.registry.package_record`) and
names every file by digest, so any tag or digest of the package leads to all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.console import Console, human_count
from starfreight.directories import discard
from starfreight.errors import GateError, InputError
from starfreight.files import disk_errors
from starfreight.image_layout.reader import INDEX_FILE
from starfreight.package import PACKAGE_FILE, Attachment, Package
from starfreight.packager.layout.report import VerifyReport
from starfreight.packager.layout.verify import verify_layout
from starfreight.packager.layout.writer import open_writer
from starfreight.packager.provenance.withdrawal.read import remote_withdrawals
from starfreight.packager.provenance.withdrawal.refuse import refuse_withdrawn
from starfreight.packager.registry.pull_files import PackageFiles
from starfreight.packager.registry.read_model import parse_any_reference, read_model
from starfreight.packager.registry.read_record import no_record, read_record


@dataclass(frozen=True)
class Pulled:
    """A package that was pulled and verified."""

    reference: str
    folder: Path
    package: Package
    report: VerifyReport
    added: int
    """Attachments beyond the record's: evidence that others have attached since."""

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        return {
            "reference": self.reference,
            "package": str(self.folder),
            "name": self.package.name,
            "variants": [str(variant.quantization) for variant in self.package.variants],
            "attachments": len(self.package.attachments),
            "attachments_added": self.added,
            "files": self.report.files,
            "bytes": self.report.bytes,
        }


def pull_package(
    reference: str, folder: Path, *, insecure: bool, console: Console, force: bool = False
) -> Pulled:
    """Pull a package into a directory and verify it; an interrupted pull continues.

    Args:
        reference: any tag or digest of the package.
        folder: empty or missing, or a package to complete.
        insecure: use plain http.
        console: shows progress.
        force: pull a withdrawn release, too.

    Raises:
        InputError: no such model, or the directory holds something else.
        GateError: the model has no record or is withdrawn, or bytes are not those that the record names.
        ServiceError: the registry cannot be reached, refuses or keeps failing, or the disk is full.
    """
    from starfreight.registry.client import RegistryClient

    parsed = parse_any_reference(reference)
    where = str(parsed)
    client = RegistryClient(parsed, insecure=insecure)
    manifest = read_model(client, parsed)
    if not force:
        refuse_withdrawn(remote_withdrawals(client, manifest.digest, where), where)
    record = read_record(client, manifest.digest, parsed, console)
    if record is None or record.manifests is None:
        raise no_record(where)
    package = record.package
    is_new = not (folder / PACKAGE_FILE).exists()
    here = _earlier_attachments(folder, package)
    with open_writer(folder, console) as writer:
        pull = PackageFiles(client, folder, writer, where)
        pull.manifests(package, record.manifests)
        pull.files(package, console)
        added = pull.added_evidence(package)
        attachments = (*here, *package.attachments, *added)
        complete = package.model_copy(update={"attachments": tuple(dict.fromkeys(attachments))})
        writer.finish(complete)
        discard(pull.staging, below=pull.staging.parent)
    if pull.left_out:
        console.note(
            "Left in the registry: "
            f"{human_count(pull.left_out, 'attachments')} of other programs, releases or models."
        )
    try:
        report = verify_layout(folder, console)
    except GateError:
        if is_new:  # What was never right is no package.
            with disk_errors(folder):
                for name in (PACKAGE_FILE, INDEX_FILE):
                    (folder / name).unlink(missing_ok=True)
        raise
    return Pulled(where, folder, complete, report, len(added))


def _earlier_attachments(folder: Path, package: Package) -> tuple[Attachment, ...]:
    """Evidence of the package in the directory, which may not be published yet.

    Raises:
        InputError: it is another package.
    """
    if not (folder / PACKAGE_FILE).exists():
        return ()
    there = Package.load(folder)
    mine, theirs = (each.model_copy(update={"attachments": ()}) for each in (there, package))
    if mine != theirs:
        raise InputError(
            f"The directory holds another package: {there.name} of the run {there.run}.",
            where=str(folder),
            fix="choose another directory",
        )
    return there.attachments
