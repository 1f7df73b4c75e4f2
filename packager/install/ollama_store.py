"""Install into Ollama's store on disk: ``blobs/sha256-<hex>`` and ``manifests/HOST/NAMESPACE/MODEL/TAG``.

A running server sees the model at once. Ollama hashes no blob of its store again, so every blob is hashed
here, those that are there already included. At its start it deletes blobs without a manifest: blobs come
first, then the manifest, then a second look at the blobs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Advance, Console
from starfreight.directories import Directory, open_directory
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import PARTIAL_PREFIX, disk_errors, place_errors, sha256_bytes, sha256_file
from starfreight.package import Descriptor
from starfreight.packager.install.interface import Installed, Model, Source
from starfreight.packager.install.ollama_name import OllamaName, parse_ollama_name

_STAGING = PARTIAL_PREFIX + "starfreight"
"""Directory for downloads below the store, where Ollama deletes nothing."""

_NO_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP, errno.EACCES, errno.ENOTSUP)


@dataclass(frozen=True)
class OllamaStore:
    """The directory that ``OLLAMA_MODELS`` names; by default ``~/.ollama/models``."""

    folder: Path

    def check(self, name: str) -> None:
        """Refuse a missing or foreign directory, and names that Ollama does not have."""
        parse_ollama_name(name)
        if not self.folder.is_dir():
            raise InputError(
                "Ollama's directory of models does not exist.",
                where=str(self.folder),
                fix="name the directory in OLLAMA_MODELS of the server, or create it; usually "
                "~/.ollama/models or /usr/share/ollama/.ollama/models",
            )
        others = [each.name for each in self.folder.iterdir() if not each.name.startswith(".")]
        if others and not {"blobs", "manifests"} & set(others):
            raise InputError(
                f"The directory is not Ollama's: it holds {sorted(others)[0]!r} and no blobs.",
                where=str(self.folder),
                fix="name the directory that holds blobs and manifests, usually ~/.ollama/models",
            )

    def install(self, model: Model, source: Source, name: str, console: Console) -> Installed:
        """Add a model to the store.

        Raises:
            InputError: a directory of the store is a link.
            GateError: the source has other bytes than announced.
            ServiceError: the disk is full or not writable, or Ollama deleted the blobs meanwhile.
        """
        image, parsed = model.image, parse_ollama_name(name)
        with disk_errors(self.folder), console.progress("Installing", total=image.size, unit="B") as advance:
            store = _Store(self.folder)
            present = sum(
                blob.size for blob in image.blobs if store.add(blob, source, image.made, advance) == "present"
            )
            store.write_manifest(parsed, image.manifest)
            # Ollama may have started, and have pruned, before the manifest was there.
            for blob in image.blobs:
                if not store.has_size(blob):
                    store.add(blob, source, image.made, advance)
                if not store.has_size(blob):
                    raise ServiceError(
                        f"The blob {blob.digest} disappeared from the store.",
                        where=str(self.folder),
                        fix="run the same command again while no other program changes the store",
                    )
            store.clean()
        return Installed(
            "ollama-store", str(self.folder), str(parsed), sha256_bytes(image.manifest), image.size, present,
            f"ollama run {parsed}",
        )  # fmt: skip


class _Store:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = folder / "blobs"
        status = folder.stat()
        self._owner: tuple[int, int] | None = None
        if os.geteuid() == 0 and status.st_uid != 0:
            # Ollama runs as a user of its own, who has to be able to remove the files.
            self._owner = status.st_uid, status.st_gid
        # The owner of a linked file could change it, and Ollama could not remove it.
        self._may_link = status.st_uid == os.geteuid()
        with self._directory(self._blobs):
            pass

    def add(self, blob: Descriptor, source: Source, made: Mapping[str, bytes], advance: Advance) -> str:
        """Make sure that the store has a blob with the right bytes; returns ``present`` or ``added``."""
        name = blob.digest.replace(":", "-")
        path = self._blobs / name
        if self.has_size(blob):
            counted = 0.0

            def count(amount: float, what: str | None = None) -> None:
                nonlocal counted
                counted += amount
                advance(amount)

            if sha256_file(path, count) == blob.digest:
                return "present"
            advance(-counted)  # A wrong file under the right name: Ollama would use it.
        with self._directory(self._blobs) as directory:
            data = made.get(blob.digest)
            if data is not None:
                self._write(directory, name, data)
                advance(blob.size)
            elif not self._link(directory, name, blob, source, advance):
                staged = self._staged(name)
                source.fetch(blob, staged, advance)
                self._own(staged)
                with place_errors(path):
                    os.replace(staged, name, dst_dir_fd=directory.descriptor)
        return "added"

    def _link(
        self, directory: Directory, name: str, blob: Descriptor, source: Source, advance: Advance
    ) -> bool:
        """Make a hard link to a file of the source if the file system and the owner allow it."""
        origin = source.path(blob) if self._may_link else None
        if origin is None or origin.stat().st_uid != os.geteuid():
            return False
        partial = PARTIAL_PREFIX + name
        directory.delete(partial)
        try:
            os.link(origin, partial, dst_dir_fd=directory.descriptor, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_LINK:
                return False
            raise
        try:
            # After the link, so that it is this file that is hashed.
            if sha256_file(self._blobs / partial, advance) != blob.digest:
                raise GateError(
                    "The file does not have the digest in its name.",
                    where=str(origin),
                    fix="make the package again, or get it again from its source",
                )
            directory.rename(partial, name)
        finally:
            directory.delete(partial)
        return True

    def has_size(self, blob: Descriptor) -> bool:
        """True if a file with the blob's name and size is there."""
        try:
            status = (self._blobs / blob.digest.replace(":", "-")).stat()
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == blob.size

    def write_manifest(self, name: OllamaName, data: bytes) -> None:
        """Write a manifest under a name, in place of an earlier one."""
        folder = self._folder / "manifests" / name.host / name.namespace / name.model
        with self._directory(folder) as directory:
            self._write(directory, name.tag, data)

    def clean(self) -> None:
        """Delete the directory for downloads if it is empty."""
        with contextlib.suppress(OSError):
            (self._folder / _STAGING).rmdir()

    def _staged(self, name: str) -> Path:
        with self._directory(self._folder / _STAGING):
            return self._folder / _STAGING / name

    def _write(self, directory: Directory, name: str, data: bytes) -> None:
        partial = PARTIAL_PREFIX + os.urandom(6).hex()
        handle = directory.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(handle)
                if self._owner is not None:
                    os.fchown(handle, *self._owner)
            with place_errors(directory.path / name):
                directory.rename(partial, name)
        except BaseException:
            directory.delete(partial)
            raise

    @contextlib.contextmanager
    def _directory(self, path: Path) -> Iterator[Directory]:
        """Open a directory of the store, creating it and its parents for the store's owner."""
        missing = [each for each in (path, *path.parents) if not each.exists()]
        with place_errors(path), open_directory(path, self._folder, create=True) as directory:
            for each in missing:
                self._own(each)
            yield directory

    def _own(self, path: Path) -> None:
        if self._owner is not None:
            os.chown(path, *self._owner, follow_symlinks=False)
