"""Write a layout, from nothing or by adding to a finished one; a kill at any moment leaves a usable state.

``package.json`` decides what the package is: blobs and index entries beyond it do not count. So files are
added first and the record changes last, in this order:

1. ``.unfinished``, an empty file, is created before the first change.
2. Blobs are added, each whole or not there.
3. ``index.json`` is replaced. It may now list attachments that the record does not have yet.
4. ``package.json`` is replaced: from here on the additions count.
5. Blobs without a reference are deleted, then ``.unfinished``.

A package stays valid while it is added to. ``verify`` accepts extra blobs, partial files and index entries of
further attachments while ``.unfinished`` is there (see :mod:`starfreight.packager.layout.verify`): before
step 4 it finds the old package, after it the new one. ``.unfinished`` also stays after an error such as a
full disk. The next writer sweeps up the rest, whether or not it repeats the same addition.

A package may also get another model card and with it other manifests (``finish(package, replaces=...)``). The
index of step 3 then lists the manifests of both records, and is replaced once more after step 4.

Any other record that does not extend the one in the directory belongs to another package. The old record is
then deleted before step 3, because the two cannot share an index: until step 4 the directory counts as
unfinished.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from starfreight.console import Console
from starfreight.directories import open_directory
from starfreight.directory_lock import LOCK_FILE, only_one
from starfreight.errors import GateError, InputError
from starfreight.files import (
    disk_errors,
    refuse_other_contents,
    sha256_bytes,
    sweep_partials,
    write_bytes,
)
from starfreight.image_layout.index import index_bytes, package_entries
from starfreight.image_layout.reader import (
    ALGORITHM,
    BLOBS,
    INDEX_FILE,
    LAYOUT_FILE,
    ImageLayout,
    open_regular,
    sha256_stream,
)
from starfreight.package import MAX_PACKAGE_BYTES, PACKAGE_FILE, Attachment, Descriptor, Package
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.layout.place_file import place_file, regular_size, sync
from starfreight.packager.layout.references import referenced_digests
from starfreight.registry.manifests import MAX_ENTRIES, MAX_MANIFEST_BYTES, BuiltManifest, build_attachment

UNFINISHED_FILE = ".unfinished"
"""Present while a writer changes the package, and after one that was killed or met an error."""

TOP_LEVEL = frozenset({LAYOUT_FILE, INDEX_FILE, PACKAGE_FILE, BLOBS, LOCK_FILE, UNFINISHED_FILE})
"""The names in a package's directory; the last two only while it is written."""

LAYOUT_BYTES = b'{"imageLayoutVersion":"1.0.0"}'

_HEX = re.compile(r"[0-9a-f]{64}")


@contextlib.contextmanager
def open_writer(folder: Path, console: Console) -> Iterator[LayoutWriter]:
    """Open a directory to write a package into, or to add to the one in it. One process at a time.

    Blobs of an earlier, interrupted writer are used again if their digests are right.

    Raises:
        InputError: the directory holds something else, or another process is writing there.
        ServiceError: the disk is full or not writable.
    """
    refuse_other_contents(
        folder, TOP_LEVEL, "a package", "choose an empty directory, or one that holds a package"
    )
    with only_one(folder, "writing a package"), disk_errors(folder):
        blobs = folder / BLOBS / ALGORITHM
        for part in (blobs.parent, blobs):
            if part.is_symlink():
                raise InputError(
                    "The package's directory of blobs is a symbolic link.", where=str(part), fix="remove it"
                )
        blobs.mkdir(parents=True, exist_ok=True)
        sweep_partials(folder)
        sweep_partials(blobs, below=folder)
        yield LayoutWriter(folder, console)


class LayoutWriter:
    """Adds blobs to a layout and finishes it with a record. Made by :func:`open_writer`."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._layout = ImageLayout(folder)
        self._folder = folder
        self._console = console

    def add(self, data: bytes, media_type: str) -> Descriptor:
        """Add bytes to the layout.

        Raises:
            ServiceError: the disk is full or not writable.
        """
        descriptor = Descriptor(media_type=media_type, digest=sha256_bytes(data), size=len(data))
        if not self._holds(descriptor):
            write_bytes(self._place_for(descriptor), data, below=self._folder)
        return descriptor

    def adopt(
        self,
        path: Path,
        media_type: str,
        *,
        digest: str | None = None,
        size: int | None = None,
        keep: bool = False,
    ) -> Descriptor:
        """Move a finished file into the layout, without copying it where the file system allows.

        If the file is gone and the layout has its digest, an earlier call has moved it already.

        Args:
            path: the file; it is gone afterwards unless ``keep``.
            media_type: of its bytes.
            digest: its digest if known; read from the file otherwise.
            size: its size in bytes if known.
            keep: leave the file in place and make a hard link to it.

        Raises:
            InputError: no such file, not a regular file, or another size.
            GateError: the copy to another file system does not have the digest.
            ServiceError: the disk is full or not writable.
        """
        found = regular_size(path)
        if found is None:
            if digest is not None and size is not None:
                descriptor = Descriptor(media_type=media_type, digest=digest, size=size)
                if self._holds(descriptor):
                    return descriptor
            raise InputError("The file does not exist.", where=str(path), fix="make it again")
        if size is not None and found != size:
            raise InputError(
                f"The file has {found:,} bytes where {size:,} were written.",
                where=str(path),
                fix="make it again",
            )
        if digest is None:
            with (
                self._console.progress("Hashing", total=found, unit="B") as advance,
                open_regular(path) as stream,
            ):
                digest = sha256_stream(stream, advance)
        descriptor = Descriptor(media_type=media_type, digest=digest, size=found)
        with disk_errors(self._folder):
            place_file(path, self._place_for(descriptor), descriptor, self._console, keep=keep)
        return descriptor

    def add_manifest(self, built: BuiltManifest) -> Descriptor:
        """Add a manifest and its config.

        Raises:
            GateError: the manifest is larger than registries accept.
            ServiceError: the disk is full or not writable.
        """
        if len(built.manifest) > MAX_MANIFEST_BYTES:
            raise GateError(
                f"A manifest would have {len(built.manifest):,} bytes; registries accept "
                f"{MAX_MANIFEST_BYTES:,}.",
                where=str(self._folder),
                fix="shorten its annotations",
            )
        self.add(built.config, built.config_media_type)
        return self.add(built.manifest, built.media_type)

    def attach(self, evidence: Evidence) -> Attachment:
        """Add evidence and the manifest that attaches it to its subject.

        Raises:
            GateError: the manifest is larger than registries accept.
            ServiceError: the disk is full or not writable.
        """
        blob = self.add(evidence.data, evidence.media_type)
        manifest = self.add_manifest(
            build_attachment(evidence.subject, blob, evidence.artifact_type, evidence.annotations)
        )
        return Attachment(
            subject=evidence.subject.digest, artifact_type=evidence.artifact_type, manifest=manifest
        )

    def finish(self, package: Package, *, replaces: Package | None = None) -> None:
        """Write ``index.json`` and ``package.json``, then delete blobs without a reference.

        Files that are right already are not touched.

        Args:
            package: the record to write.
            replaces: the record in the directory, if ``package`` may have another model card.

        Raises:
            GateError: a manifest of the package is missing or damaged, or the package has too many of them.
            ServiceError: the disk is full or not writable.
        """
        entries = package_entries(package)
        record, index = package.as_bytes(), index_bytes(entries)
        if len(record) > MAX_PACKAGE_BYTES or len(index) > MAX_MANIFEST_BYTES or len(entries) > MAX_ENTRIES:
            raise GateError(
                f"The package has too many attachments: {len(package.attachments):,}.",
                where=str(self._folder),
                fix="leave some out",
            )
        referenced = referenced_digests(self._layout, package)
        blobs = self._folder / BLOBS / ALGORITHM
        package_file = self._folder / PACKAGE_FILE
        with disk_errors(self._folder):
            first_index, earlier = index, self._record()
            if earlier is None or not package.extends(earlier):  # Perhaps with more attachments.
                self._begin()
                if replaces is not None and replaces == earlier:
                    first_index = index_bytes(dict.fromkeys((*entries, *package_entries(replaces))))
                else:
                    package_file.unlink(missing_ok=True)
            sync(blobs)
            self._replace(LAYOUT_FILE, LAYOUT_BYTES)
            self._replace(INDEX_FILE, first_index)
            sync(self._folder)
            self._replace(PACKAGE_FILE, record)
            sync(self._folder)
            self._replace(INDEX_FILE, index)
            sync(self._folder)
            with open_directory(blobs, below=self._folder) as directory:
                for name in directory.names():
                    if _HEX.fullmatch(name) and "sha256:" + name not in referenced:
                        self._begin()
                        directory.delete(name)
            (self._folder / UNFINISHED_FILE).unlink(missing_ok=True)

    def _begin(self) -> None:
        """Create ``.unfinished``."""
        path = self._folder / UNFINISHED_FILE
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR):
                raise InputError(
                    f"{UNFINISHED_FILE} is not a file.", where=str(path), fix="remove it"
                ) from error
            raise

    def _replace(self, name: str, data: bytes) -> None:
        path = self._folder / name
        if _differs(path, data):
            self._begin()
            write_bytes(path, data)

    def _record(self) -> Package | None:
        """The record in the directory, if there is a valid one."""
        try:
            return Package.load(self._folder)
        except InputError:
            return None

    def _holds(self, descriptor: Descriptor) -> bool:
        """True if the blob is there with the right digest."""
        try:
            with (
                self._layout.open(descriptor) as stream,
                self._console.progress("Checking", total=descriptor.size, unit="B") as advance,
            ):
                return sha256_stream(stream, advance) == descriptor.digest
        except GateError:
            return False

    def _place_for(self, descriptor: Descriptor) -> Path:
        """The path of a blob that is about to be written."""
        path = self._layout.blob_path(descriptor.digest)
        if path.is_dir() and not path.is_symlink():
            raise InputError("A directory is in the place of a blob.", where=str(path), fix="remove it")
        with disk_errors(self._folder):
            self._begin()
        return path


def _differs(path: Path, data: bytes) -> bool:
    try:
        with open_regular(path) as stream:
            return stream.read(len(data) + 1) != data
    except GateError:
        return True
