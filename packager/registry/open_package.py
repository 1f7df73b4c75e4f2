"""Open a package to read everything in it but its models: a directory, or a release in a registry.

    with open_package("registry.example.org/acme/coder:1.0", console) as opened:
        print(opened.package.name, read_provenance(opened.folder).recipe.name)

A release comes into a temporary layout with an empty file of the right size in the place of each model: of
gigabytes, megabytes are read. The layout goes away at the end of the block, also after an error and Ctrl-C.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.files import disk_errors
from starfreight.package import Attachment, Package
from starfreight.package_source import is_reference as is_reference
from starfreight.packager.registry.read_model import AnyReference, parse_any_reference, read_model

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

_LARGEST = 8 << 30
"""Bytes of a package beside its models: lists of the training data are the largest part."""


@dataclass(frozen=True)
class Opened:
    """A package that can be read.

    Attributes:
        folder: its layout.
        package: its record. From a registry, with the attachments that others have added there.
        where: the package as the user named it.
        reference: its place in the registry; ``None`` for a directory.
        placeholders: digests of the models whose files are empty. Never hash or copy those.
        unlisted: attachments of the record that the registry does not list, although it has their subject.
        left_out: attachments in the registry that are not in a package's form.
        asked: digest of the manifest at the reference.
        client: reads the repository.
    """

    folder: Path
    package: Package
    where: str
    reference: AnyReference | None = None
    placeholders: frozenset[str] = frozenset()
    unlisted: tuple[Attachment, ...] = ()
    left_out: int = 0
    asked: str | None = None
    client: RegistryClient | None = None


@contextlib.contextmanager
def open_package(source: str, console: Console, *, insecure: bool = False) -> Iterator[Opened]:
    """Open a package. Nothing is verified but the digests of the files that are fetched.

    Args:
        source: a package's directory, or ``HOST/NAMESPACE/NAME:TAG`` or ``...@sha256:...`` of one of its
            manifests.
        console: shows progress.
        insecure: use plain http for the registry.

    Raises:
        InputError: no such package, or neither a directory nor a reference.
        GateError: the release has no record, or its bytes are not those that it names, or are too many.
        ServiceError: the registry cannot be reached, refuses or keeps failing, or the disk is full.
    """
    if not is_reference(source):
        folder = Path(source)
        yield Opened(folder, Package.load(folder), source)
        return
    reference = parse_any_reference(source)
    with contextlib.ExitStack() as stack:
        with disk_errors(Path(tempfile.gettempdir())):
            # A thread that still writes after Ctrl-C must not keep the rest from going.
            directory = tempfile.TemporaryDirectory(prefix="starfreight-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(directory)) / "package"
            opened = _pulled(reference, folder, console, insecure=insecure)
        yield opened


def models(package: Package) -> frozenset[str]:
    """Digests of the models of a package, its adapter included."""
    found = {variant.gguf.digest for variant in package.variants}
    return frozenset(found | ({package.adapter.digest} if package.adapter is not None else set()))


def _pulled(reference: AnyReference, folder: Path, console: Console, *, insecure: bool) -> Opened:
    from starfreight.packager.layout.writer import open_writer
    from starfreight.packager.registry.pull_files import PackageFiles
    from starfreight.packager.registry.read_record import no_record, read_record
    from starfreight.registry.client import RegistryClient

    where = str(reference)
    client = RegistryClient(reference, insecure=insecure)
    asked = read_model(client, reference).digest
    record = read_record(client, asked, reference, console)
    if record is None or record.manifests is None:
        raise no_record(where)
    package, placeholders = record.package, models(record.package)
    with open_writer(folder, console) as writer:
        files = PackageFiles(client, folder, writer, where, placeholders=placeholders, limit=_LARGEST)
        files.manifests(package, record.manifests)
        files.files(package, console)
        added = files.added_evidence(package)
        unlisted = files.unlisted(package)
        complete = package.model_copy(update={"attachments": (*package.attachments, *added)})
        writer.finish(complete)
    return Opened(folder, complete, where, reference, placeholders, unlisted, files.left_out, asked, client)
