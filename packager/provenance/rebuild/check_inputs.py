"""Check base, adapter and importance matrix against the digests in a package's statement."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from starfreight.checkpoint import StreamedBase, folder_of
from starfreight.checkpoint.files import deciding_files
from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.packager.build.base_files import file_digest, file_size
from starfreight.packager.press.adapter import CONFIG_NAME, WEIGHTS_NAME
from starfreight.packager.provenance.recorded import Provenance
from starfreight.run import ADAPTER_FOLDER

_ADAPTER = "adapter/"


def check_base(base: Path | StreamedBase, provenance: Provenance, console: Console) -> None:
    """Check that a base model is the one of a package. The weights of a streamed one can be read afterwards.

    Raises:
        InputError: it is not a directory, or has no weights or two sets of them.
        GateError: a file is missing, differs or was added; it is named.
        ServiceError: the source of a streamed base fails.
    """
    folder = folder_of(base)
    if not folder.is_dir():
        raise InputError(
            "The base model's directory does not exist.", where=str(folder), fix="check the path of --base"
        )
    recorded = provenance.base_files
    _check(base, recorded, "base model", console)
    for name in deciding_files(base):
        if name not in recorded:
            raise _other("base model", folder / name, f"the statement names no {name}")


def check_adapter(folder: Path, provenance: Provenance, console: Console) -> None:
    """Check that a directory holds the adapter of a package.

    Raises:
        InputError: it is not a directory.
        GateError: a file is missing or differs, or the statement does not name the adapter's files.
    """
    if not folder.is_dir():
        raise InputError(
            "The adapter's directory does not exist.", where=str(folder), fix="check the path of --adapter"
        )
    within = folder / ADAPTER_FOLDER
    if not (folder / CONFIG_NAME).exists() and (within / CONFIG_NAME).exists():
        raise InputError(
            "The directory is not an adapter, but holds one.", where=str(folder), fix=f"name {within}"
        )
    recorded = {name.removeprefix(_ADAPTER): digest for name, digest in provenance.adapter.items()}
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if name not in recorded:
            raise GateError(
                f"The provenance statement names no {_ADAPTER}{name}: the adapter is unknown.",
                where=str(folder),
                fix="verify the package: starfreight package verify",
            )
    _check(folder, recorded, "adapter", console)


def check_imatrix(path: Path | None, provenance: Provenance, console: Console) -> None:
    """Check that a file is the importance matrix of a package, or that the package needs none.

    Raises:
        InputError: it is needed and not given, given and not needed, or missing.
        GateError: it differs.
    """
    if provenance.imatrix is None:
        if path is not None:
            raise InputError(
                "The package was built without an importance matrix.",
                where=str(path),
                fix="leave --imatrix out",
            )
        return
    if path is None:
        raise InputError(
            "The package was built with an importance matrix, which is not given.",
            where=provenance.imatrix,
            fix="name it with --imatrix (imatrix.gguf of the run), or the run with --run",
        )
    _check(path.parent, {path.name: provenance.imatrix}, "importance matrix", console)


def _check(source: Path | StreamedBase, recorded: Mapping[str, str], kind: str, console: Console) -> None:
    folder, total = folder_of(source), 0
    for name in recorded:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
            raise GateError(
                f"The provenance statement names a file outside the {kind}'s directory.",
                where=repr(name[:200]),
                fix="do not use the package",
            )
        size = file_size(source, name)
        if size is None:
            raise _other(kind, folder / name, f"it has no {name}")
        total += size
    with console.progress(f"Checking the {kind}", total=total, unit="B") as advance:
        for name, digest in recorded.items():
            found = file_digest(source, name, advance)
            if found != digest:
                what = f"{name} has the digest {found}, the statement names {digest}"
                raise _other(kind, folder / name, what)


def _other(kind: str, path: Path, why: str) -> GateError:
    return GateError(
        f"The {kind} is not the one that the package was built from: {why}.",
        where=str(path),
        fix="name the right one, complete and unchanged",
    )
