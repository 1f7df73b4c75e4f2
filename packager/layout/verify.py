"""Check every file of a package: its digest, its size, its references, and that it fits the others.

The record determines the index, every manifest and every config: they are built again and compared byte for
byte, and the provenance statement with the files (see :mod:`starfreight.packager.layout.contents`).

A package with a ``.unfinished`` file is being added to, or the command that added to it was killed or met an
error (see :mod:`starfreight.packager.layout.writer`). Every file in its record is checked as always. Four
things beyond the record are accepted then, none of which changes the package: partial files, whole blobs
without a reference, entries of the index for the package's manifests with another model card, and entries
that attach evidence to one of these manifests.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starfreight.console import Advance, Console
from starfreight.directory_lock import LOCK_FILE
from starfreight.errors import GateError, InputError
from starfreight.files import PARTIAL_PREFIX
from starfreight.image_layout.index import IndexEntry, index_bytes, package_entries
from starfreight.image_layout.reader import (
    ALGORITHM,
    BLOBS,
    INDEX_FILE,
    LAYOUT_FILE,
    ImageLayout,
    blob_files,
    open_regular,
)
from starfreight.package import (
    MAX_PACKAGE_BYTES,
    NEWEST_VERSION,
    PACKAGE_FILE,
    Descriptor,
    Package,
    no_package,
)
from starfreight.packager.layout.contents import ContentCheck
from starfreight.packager.layout.hash_blobs import HashedBlob, hash_blobs
from starfreight.packager.layout.rebuild import has_other_card
from starfreight.packager.layout.report import Part, Problem, VerifyReport
from starfreight.packager.layout.writer import TOP_LEVEL, UNFINISHED_FILE
from starfreight.packager.media_types import MANIFESTS

MAX_PROBLEMS = 1000

_HEX = re.compile(r"[0-9a-f]{64}")


def verify_layout(
    folder: Path,
    console: Console,
    *,
    hash_up_to: int | None = None,
    placeholders: Collection[str] = (),
) -> VerifyReport:
    """Check every file of a package. Arguments as for :func:`examine_layout`.

    Raises:
        GateError: a file is corrupt, missing or unexpected; the first one is named.
        InputError: no package there, or one of a newer version.
    """
    report = examine_layout(folder, console, hash_up_to=hash_up_to, placeholders=placeholders)
    if (error := report.error()) is not None:
        raise error
    return report


def examine_layout(
    folder: Path,
    console: Console,
    *,
    hash_up_to: int | None = None,
    hashed: Collection[str] = (),
    placeholders: Collection[str] = (),
    meanwhile: Callable[[], None] | None = None,
) -> VerifyReport:
    """Check every file of a package and return the problems instead of raising.

    Args:
        folder: the package's directory.
        console: shows progress.
        hash_up_to: size in bytes of the largest blob to hash, for a caller who hashes larger ones; their
            presence and size are checked. By default all are hashed.
        hashed: digests of blobs that the caller has hashed elsewhere. Here they begin with their header.
        placeholders: digests of blobs that are empty files of the right size.
        meanwhile: called once, while large files are hashed.

    Raises:
        InputError: no package there, or one of a newer version.
    """
    if not any((folder / name).exists() for name in (LAYOUT_FILE, INDEX_FILE, PACKAGE_FILE)):
        raise no_package(folder)
    limit = sys.maxsize if hash_up_to is None else hash_up_to
    examination = _Examination(
        folder, ImageLayout(folder), (folder / UNFINISHED_FILE).exists(), frozenset(placeholders)
    )
    examination.top_level()
    elsewhere = {digest.removeprefix("sha256:") for digest in (*hashed, *placeholders)}
    sizes = {path: path.lstat().st_size for path in blob_files(folder)}
    unread = {path for path, size in sizes.items() if size > limit or path.name in elsewhere}
    total = sum(size for path, size in sizes.items() if path not in unread)
    with console.progress("Verifying", total=total, unit="B") as advance:
        examination.blobs(advance, unread, meanwhile)
    examination.references()
    if examination.unfinished:
        console.note(
            f"{folder}: a command that was writing here is not finished, or was stopped. Its additions do "
            "not count yet; run it again to complete them."
        )
    return VerifyReport(folder, examination.files, examination.bytes, tuple(examination.problems))


@dataclass
class _Examination:
    folder: Path
    layout: ImageLayout
    unfinished: bool
    """The directory holds ``.unfinished``."""
    placeholders: frozenset[str]
    """Digests of empty files in the place of models."""
    problems: list[Problem] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    broken: set[str] = field(default_factory=set)
    """Digests of corrupt blobs, so that each is reported once."""

    def problem(self, path: Path, what: str, part: Part = "files") -> None:
        problem = Problem(path.relative_to(self.folder).as_posix(), what, part)
        if len(self.problems) < MAX_PROBLEMS and problem not in self.problems:
            self.problems.append(problem)

    @contextmanager
    def collecting(self, path: Path, part: Part = "files") -> Iterator[None]:
        """Record a reader's refusal as a problem."""
        try:
            yield
        except GateError as error:
            where = Path(error.where) if error.where else path
            self.problem(where if where.is_relative_to(self.folder) else path, error.what.rstrip("."), part)

    def top_level(self) -> None:
        for entry in sorted(self.folder.iterdir()):
            if entry.name not in TOP_LEVEL:
                self._unexpected(entry)
        for name, what in ((LOCK_FILE, "the lock"), (UNFINISHED_FILE, UNFINISHED_FILE)):
            path = self.folder / name
            if path.is_symlink() or (path.exists() and (not path.is_file() or path.stat().st_size)):
                self.problem(path, f"{what} is not an empty file")
        marker = self.folder / LAYOUT_FILE
        with self.collecting(marker):
            if self.layout.json_file(marker) != {"imageLayoutVersion": "1.0.0"}:
                self.problem(marker, "the layout has another version than 1.0.0")
            self.files += 1
            self.bytes += marker.stat().st_size

    def blobs(self, advance: Advance, unread: Collection[Path], meanwhile: Callable[[], None] | None) -> None:
        blobs = self.folder / BLOBS
        for level, allowed in ((blobs, ALGORITHM), (blobs / ALGORITHM, None)):
            if level.is_symlink() or not level.is_dir():
                self.problem(level, f"{level.name} is not a directory")
                return
            entries = sorted(level.iterdir())
            for entry in entries:
                if allowed is not None and entry.name != allowed:
                    self.problem(entry, f"{entry.name} does not belong to a package")
                elif allowed is None and not _HEX.fullmatch(entry.name):
                    self._unexpected(entry)
        named = [entry for entry in entries if _HEX.fullmatch(entry.name)]
        for path, found in hash_blobs(named, advance, skip=unread, meanwhile=meanwhile).items():
            self._blob(path, found)

    def _unexpected(self, path: Path) -> None:
        partial = path.name.startswith(PARTIAL_PREFIX) and path.is_file() and not path.is_symlink()
        if not (partial and self.unfinished):
            self.problem(path, f"{path.name} does not belong to a package")

    def _blob(self, path: Path, found: HashedBlob) -> None:
        digest = "sha256:" + path.name
        if found.refusal is not None:
            self.problem(path, found.refusal.what.rstrip("."))
            self.broken.add(digest)
            return
        self.files += 1
        self.bytes += found.size
        if found.digest not in (None, digest):
            self.problem(path, f"the blob {digest} has another digest")
            self.broken.add(digest)

    def references(self) -> None:
        package = self._package()
        referred: dict[str, Descriptor] = {}
        index = self.folder / INDEX_FILE
        entries = None
        with self.collecting(index):
            entries = self.layout.index()
            self.files += 1
            self.bytes += index.stat().st_size
        for entry in entries or ():
            self._refer(referred, entry.manifest)
            self._manifest(referred, entry.manifest)
        if package is not None:
            for descriptor in package.descriptors():
                self._refer(referred, descriptor)
            if entries is not None and not self._agree(entries, package):
                self.problem(index, f"{INDEX_FILE} does not agree with {PACKAGE_FILE}", "contents")
            elif entries is not None and not self.unfinished:
                with self.collecting(index), open_regular(index) as stream:
                    if stream.read() != index_bytes(package_entries(package)):
                        what = f"{INDEX_FILE} is not written as {PACKAGE_FILE} determines"
                        self.problem(index, what, "contents")
            ContentCheck(
                self.layout,
                package,
                self.folder / PACKAGE_FILE,
                self.problem,
                self.collecting,
                self.broken,
                self.placeholders,
            ).run()
        if package is not None and entries is not None and not self.unfinished:
            for path in blob_files(self.folder):
                if _HEX.fullmatch(path.name) and "sha256:" + path.name not in referred:
                    self.problem(path, f"nothing refers to the blob sha256:{path.name}")
        if package is not None:
            self._same_bytes(package)

    def _same_bytes(self, package: Package) -> None:
        """Check that the record has no second spelling, such as a quantization in small letters."""
        path = self.folder / PACKAGE_FILE
        with self.collecting(path), open_regular(path) as stream:
            if stream.read(MAX_PACKAGE_BYTES + 1) != package.as_bytes():
                self.problem(path, f"{PACKAGE_FILE} is not written as packages are written with", "contents")

    def _agree(self, entries: tuple[IndexEntry, ...], package: Package) -> bool:
        """True if the index lists the package, and no more than an unfinished addition may."""
        listed, expected = set(entries), set(package_entries(package))
        if not self.unfinished:
            return listed == expected
        other_card = {entry for entry in listed - expected if has_other_card(self.layout, package, entry)}
        manifests = {entry.manifest.digest for entry in expected | other_card}
        return expected <= listed and all(
            entry.name is None
            and entry.artifact_type is not None
            and self._subject(entry.manifest) in manifests
            for entry in listed - expected - other_card
        )

    def _subject(self, manifest: Descriptor) -> str | None:
        try:
            subject = self.layout.manifest(manifest).subject
        except GateError:
            return None
        return subject.digest if subject else None

    def _package(self) -> Package | None:
        path = self.folder / PACKAGE_FILE
        with self.collecting(path):
            version = self.layout.json_file(path).get("version")
            try:
                package = Package.load(self.folder)
            except InputError as error:
                if isinstance(version, int) and version > NEWEST_VERSION:
                    raise
                self.problem(path, error.what.rstrip("."))
                return None
            self.files += 1
            self.bytes += path.stat().st_size
            return package
        return None

    def _refer(self, referred: dict[str, Descriptor], descriptor: Descriptor) -> None:
        known = referred.get(descriptor.digest)
        if known is not None and known.size == descriptor.size:
            return
        referred[descriptor.digest] = descriptor
        if descriptor.digest in self.broken:
            return
        with self.collecting(self.layout.blob_path(descriptor.digest)), self.layout.open(descriptor):
            pass

    def _manifest(self, referred: dict[str, Descriptor], descriptor: Descriptor) -> None:
        path = self.layout.blob_path(descriptor.digest)
        if descriptor.digest in self.broken or not path.exists():
            return
        if descriptor.media_type not in MANIFESTS:
            self.problem(path, f"the index lists a manifest of the unknown type {descriptor.media_type}")
            return
        with self.collecting(path):
            manifest = self.layout.manifest(descriptor)
            for each in (manifest.config, *manifest.layers):
                self._refer(referred, each)
            if manifest.subject is not None:
                self._refer(referred, manifest.subject)
