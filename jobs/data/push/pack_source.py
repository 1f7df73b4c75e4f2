"""Pack a local source into one file: a tar archive of a directory's texts, or the file of records itself.

Exactly the texts that training reads are packed, with the license files of their repositories. Times and
owners of this machine are not, so that the same texts give the same archive.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import open_regular, sha256_bytes, sha256_file
from starfreight.jobs.data.push.push_artifact import ArtifactFile
from starfreight.jobs.data.repository_license import MAX_LICENSE_BYTES, is_license_file
from starfreight.jobs.data.sources import kind_of, open_source
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.data.sources.oci_artifact import DATASET
from starfreight.jobs.data.sources.record_file import RecordFileKind
from starfreight.jobs.data.sources.safe_names import why_unsafe
from starfreight.jobs.data.training_text import training_text
from starfreight.package import Descriptor
from starfreight.recipe.data import Data
from starfreight.secrets import find_secrets
from starfreight.spans import first_kind_and_line

_SHOWN = 5


@dataclass(frozen=True)
class PackedSource:
    """A source in one file."""

    file: ArtifactFile
    texts: int
    left_out: tuple[str, ...]
    """Files with secrets in them, with the kind and line of the first."""


def pack_source(
    data: Data, path: Path, folder: Path, *, with_secrets: bool, number: int, console: Console
) -> PackedSource:
    """Pack a source.

    Args:
        data: the source.
        path: its local file or directory.
        folder: directory for the archive.
        with_secrets: pack texts with secrets, too.
        number: of the source in the recipe, from 0.
        console: shows progress.

    Raises:
        GateError: secrets that would be published.
        InputError: a file that cannot be packed.
    """
    if path.is_file():
        return _records(data, path, with_secrets=with_secrets, number=number, console=console)
    return _directory(data, path, folder, with_secrets=with_secrets, number=number, console=console)


def _records(data: Data, path: Path, *, with_secrets: bool, number: int, console: Console) -> PackedSource:
    count, found = 0, []
    with console.progress(f"Reading {path.name}", total=None, unit="records") as advance:
        for sample in open_source(data, path).samples():
            if isinstance(sample, Sample):
                count += 1
                if secret := _secret(sample):
                    found.append(secret)
            advance(1)
    if found and not with_secrets:
        _judge(data, found, number, "take the records out of the file", console, refuse=True)
    digest = sha256_file(path)
    layer = Descriptor(media_type=f"{DATASET}raw", digest=digest, size=path.stat().st_size)
    if reason := why_unsafe(path.name):
        raise InputError(f"The file's name {reason}.", where=str(path), fix="rename it")
    return PackedSource(ArtifactFile(path, path.name, layer), count, ())


def _directory(
    data: Data, path: Path, folder: Path, *, with_secrets: bool, number: int, console: Console
) -> PackedSource:
    archive = folder / f"{number}.tar"
    names: list[str] = []
    secrets: list[str] = []
    # pax has names of any length and in UTF-8.
    with (
        archive.open("xb") as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar,
        console.progress(f"Packing {path.name}", total=None, unit="files") as advance,
    ):
        for sample in open_source(data, path).samples():
            advance(1)
            if not isinstance(sample, Sample):
                continue
            secret = None if with_secrets else _secret(sample)
            if secret is not None:
                secrets.append(secret)
                if data.filters.secrets == "leave_out":
                    continue
            names.append(sample.name)
            _add(tar, path, sample.name, sample.digest)
        texts = len(names)
        for name in _licenses(data, path, set(names)):
            _add(tar, path, name, None)
    if secrets:
        _judge(
            data, secrets, number, "remove them, or set filters.secrets to leave_out", console, refuse=False
        )
    if not texts:
        raise InputError(
            "The source has no text to push.",
            where=f"key data[{number}].source, {path}",
            fix="see what is left out, and why: starfreight data inspect RECIPE",
        )
    if all(isinstance(kind_of(Path(name).name, Path(name)), RecordFileKind) for name in names):
        raise InputError(
            "The directory holds JSON or Parquet files only, which an artifact would read as records.",
            where=f"key data[{number}].source, {path}",
            fix="name each file as a source of its own",
        )
    layer = Descriptor(media_type=f"{DATASET}tar", digest=sha256_file(archive), size=archive.stat().st_size)
    return PackedSource(ArtifactFile(archive, f"{path.name}.tar", layer), texts, tuple(secrets))


def _judge(data: Data, found: list[str], number: int, remedy: str, console: Console, *, refuse: bool) -> None:
    """Treat secrets as the source's filter does: leave out, refuse to publish, or warn."""
    shown = ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" * (len(found) > _SHOWN))
    mode = data.filters.secrets
    if mode == "keep":
        console.note(
            f"Warning: data[{number}] is pushed with secrets in it (filters.secrets: keep): {shown}."
        )
    elif mode == "leave_out" and not refuse:
        console.note(f"Left out of data[{number}] for the secrets in them: {shown}.")
    else:
        raise GateError(
            f"Pushing the source would publish secrets: {shown}.",
            where=f"key data[{number}].source",
            fix=f"{remedy}; to push them all the same, add --with-secrets",
        )


def _secret(sample: Sample) -> str | None:
    """Name of a sample with a secret, and the kind and line of the first; ``None`` without one."""
    text = training_text(sample.content)
    found = first_kind_and_line(text, find_secrets(text))
    return None if found is None else f"{sample.name} ({found})"


def _licenses(data: Data, path: Path, taken: set[str]) -> Iterator[str]:
    """License files at the roots of the repositories, which decide over the license of every text."""
    roots = [""]
    if data.repositories == "subfolders":
        roots = sorted({name.partition("/")[0] + "/" for name in taken})
    for root in roots:
        for entry in sorted((path / root).iterdir()):
            name = root + entry.name
            if (
                is_license_file(entry.name)
                and name not in taken
                and entry.is_file()
                and not entry.is_symlink()
            ):
                yield name


def _add(tar: tarfile.TarFile, root: Path, name: str, digest: str | None) -> None:
    if reason := why_unsafe(name):
        raise InputError(
            f"The name of a file {reason}.",
            where=f"{root}: {name[:200]!r}",
            fix="rename the file, or exclude it",
        )
    path = root / name
    with open_regular(path, follow=False) as stream:
        content = stream.read() if digest else stream.read(MAX_LICENSE_BYTES + 1)
    if digest is not None and sha256_bytes(content) != digest:
        raise InputError(
            "A file changed while it was packed.", where=str(path), fix="run the same command again"
        )
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o644, 0
    tar.addfile(member, io.BytesIO(content))
