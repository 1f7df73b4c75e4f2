"""Attach evidence to a finished package.

    package = Package.load(folder)
    signature = Evidence(
        subject=package.default_variant.manifests[0].manifest,
        data=envelope,
        media_type="application/vnd.dsse.envelope.v1+json",
        artifact_type="application/vnd.dsse.envelope.v1+json",
        annotations={},
    )
    attach(folder, [signature], console)

Every other byte of the package stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.image_layout.index import package_entries
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.layout.rebuild import climbing_path
from starfreight.packager.layout.references import referenced_digests
from starfreight.packager.layout.writer import open_writer


def attach(folder: Path, evidence: Iterable[Evidence], console: Console) -> Package:
    """Add evidence to a package, all of it or none; everything else stays as it is.

    Evidence that the package has already is not added twice. A kill at any moment leaves a package that
    verifies, with or without the evidence; the same call completes it.

    Args:
        folder: the package's directory.
        evidence: each refers to a manifest of the package.
        console: shows progress.

    Returns:
        The package's new record.

    Raises:
        InputError: no package there, another process is writing it, a subject is not one of its manifests,
            or an annotation is a path that leaves its directory.
        GateError: a manifest of the package is missing or damaged, or the evidence is too large.
        ServiceError: the disk is full or not writable.
    """
    evidence = tuple(evidence)
    Package.load(folder)  # Before a lock is created in a directory that is not a package.
    with open_writer(folder, console) as writer:
        package = Package.load(folder)
        manifests = {entry.manifest for entry in package_entries(package)}
        for each in evidence:
            if each.subject not in manifests:
                raise InputError(
                    f"The package has no manifest {each.subject.digest} to attach evidence to.",
                    where=str(folder),
                    fix="choose a manifest that package.json names",
                )
            if (name := climbing_path(each.annotations)) is not None:
                raise InputError(
                    f"The annotation {name} of the evidence is a path that leaves its directory.",
                    where=str(folder),
                    fix="name the file alone",
                )
        referenced_digests(ImageLayout(folder), package)
        attachments = dict.fromkeys(package.attachments)
        attachments |= dict.fromkeys(writer.attach(each) for each in evidence)
        extended = package.model_copy(update={"attachments": tuple(attachments)})
        writer.finish(extended)
        return extended
