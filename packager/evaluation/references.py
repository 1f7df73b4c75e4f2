"""Reference models for an evaluation: the base model alone, or the tuned model in 16 bits, as GGUF files.

    path = reference_model(run, package, "F16", tuned=True, console=console)

They are pressed into the user's cache, keyed by everything that decides their bytes, and hashed before each
use. A file that the package itself has is not made again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starfreight.base_model import STARTER, locate_base
from starfreight.checkpoint import checkpoint_files
from starfreight.console import Console, human_count
from starfreight.directories import discard
from starfreight.errors import GateError, InputError, ServiceError, StarfreightError
from starfreight.files import canonical_json, disk_errors, read_json, sha256_bytes, sha256_file, write_json
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.build.base_files import check_base_files
from starfreight.packager.build.base_source import Streaming
from starfreight.packager.build.build_package import base_of, load_dtype
from starfreight.packager.hashed_file import QuantizedFile
from starfreight.packager.press import ModelIdentity, PressRequest, press
from starfreight.packager.press.open_base import open_checked
from starfreight.packager.press.sizes import predict_size
from starfreight.quantization import Quantization
from starfreight.recipe import Base
from starfreight.records import FileDigest
from starfreight.run import ADAPTER_FOLDER, RUN_FILE, Run
from starfreight.user_cache import cache_folder, made_once

_FORMAT = 1
"""Raised when the press changes the bytes of its files."""
_RECORD = "reference.json"
_STEM = "reference"


def reference_model(
    run_dir: Path | None,
    package_dir: Path,
    quantization: Quantization | str,
    *,
    tuned: bool,
    console: Console,
) -> Path:
    """A reference model of a package, made if it is not in the user's cache.

    Args:
        run_dir: directory of the package's run; ``None`` to look for ``runs/`` beside ``packages/``.
        package_dir: the package's directory.
        quantization: of the file.
        tuned: the tuned model; the base model if false. For a package with an adapter beside the base, the
            file is the base in any case: apply the package's adapter to it.
        console: shows progress.

    Returns:
        The GGUF file: do not change it.

    Raises:
        InputError: no package there, or its run or base model cannot be found.
        GateError: the base model or the adapter is not the run's, or a file of the package is damaged.
        ServiceError: the disk is full, or the hub does not answer.
    """
    package = Package.load(package_dir)
    chosen = Quantization.parse(str(quantization))
    if tuned or package.adapter is not None:
        for variant in package.variants:
            if variant.quantization == chosen:
                layout = ImageLayout(package_dir)
                with layout.open(variant.gguf):
                    return layout.blob_path(variant.gguf.digest)
    run = _run(run_dir, package_dir, package)
    merged = tuned and package.adapter is None
    if run is None and merged:
        raise InputError(
            "The tuned model cannot be made in 16 bits: the run of the package is not here.",
            where=str(run_dir or package_dir),
            fix=f"name the directory of the run {package.run}",
        )
    if run is not None and merged and not run[1].is_trained(run[0]):
        raise InputError(
            "The adapter is not the run's: a file of it has changed or is missing.",
            where=str(run[0] / ADAPTER_FOLDER),
            fix="restore it, or train it again",
        )
    key = _key(package, run, chosen, merged=merged)
    folder = cache_folder("references") / sha256_bytes(canonical_json(key)).removeprefix("sha256:")
    if (found := _checked(folder, console)) is not None:
        return found
    made_once(folder, lambda partial: _make(partial, package, run, chosen, console, merged=merged))
    found = _checked(folder, console)
    if found is None:
        raise ServiceError("The reference model is damaged.", where=str(folder), fix="check the disk")
    return found


def _run(run_dir: Path | None, package_dir: Path, package: Package) -> tuple[Path, Run] | None:
    """The package's run; ``None`` if it is not found.

    Raises:
        InputError: the named directory holds another run.
    """
    if run_dir is not None:
        run = Run.load(run_dir)
        if run.id != package.run:
            raise InputError(
                f"The run is {run.id}; the package was built from {package.run}.",
                where=str(run_dir),
                fix="name the directory of the package's run",
            )
        return run_dir, run
    beside = package_dir.resolve().parent.parent / "runs" / package.run
    if not (beside / RUN_FILE).is_file():
        return None
    return beside, Run.load(beside)


def _key(
    package: Package, run: tuple[Path, Run] | None, quantization: Quantization, *, merged: bool
) -> Mapping[str, Any]:
    """Everything that decides the file's bytes."""
    key: dict[str, Any] = {
        "format": _FORMAT,
        "base": package.base.digest,
        "quantization": str(quantization),
        "imatrix": None,
    }
    if run is not None:
        record = run[1]
        key["imatrix"] = record.imatrix.imatrix.digest if record.imatrix else None
        if merged:
            assert record.outcome is not None
            key["adapter"] = [file.model_dump() for file in record.outcome.adapter]
            key["merge"] = record.recipe.package.merge.base
            key["dtype"] = load_dtype(record)
    return key


def _checked(folder: Path, console: Console) -> Path | None:
    """The file of a cached reference model; a damaged one is deleted."""
    path = folder / f"{_STEM}.gguf"
    if not folder.is_dir():
        return None
    try:
        record = read_json(folder / _RECORD, 1 << 16, "record of a reference model")
        size = path.lstat().st_size
        if size == record["size"]:
            with console.progress("Checking the reference model", total=size, unit="B") as advance:
                if sha256_file(path, advance) == record["digest"]:
                    return path
    except (StarfreightError, OSError, LookupError, TypeError):
        pass
    console.note(f"The reference model in {folder} is damaged; it is made again.")
    discard(folder, below=folder.parent.parent)
    return None


def _make(
    partial: Path,
    package: Package,
    run: tuple[Path, Run] | None,
    quantization: Quantization,
    console: Console,
    *,
    merged: bool,
) -> None:
    if run is not None:
        base = base_of(run[1], run[0], None, Streaming(out=partial, quantizations=(quantization,)), console)
        check_base_files(base, run[1].base.files, console)
    else:
        base = _base_without_run(package)
    checkpoint = open_checked(base)
    imatrix = run[0] / run[1].imatrix.imatrix.path if run is not None and run[1].imatrix else None
    needed = predict_size(checkpoint.shape, quantization, imatrix=imatrix is not None)
    with disk_errors(partial):
        partial.mkdir()
        free = shutil.disk_usage(partial).free
    if free < needed:
        raise ServiceError(
            f"The reference model needs {human_count(needed, 'B')}; {human_count(free, 'B')} are free.",
            where=str(partial.parent),
            fix="free some space, or set XDG_CACHE_HOME to a directory on another disk",
        )
    what = "the tuned model" if merged else "the base model"
    console.heading(f"Converting {what} to {quantization}")
    request = PressRequest(
        base=checkpoint,
        adapter=run[0] / ADAPTER_FOLDER if run is not None and merged else None,
        quantizations=(quantization,),
        out=partial,
        name=_STEM,
        identity=ModelIdentity(name=_STEM),
        merge_base=run[1].recipe.package.merge.base if run is not None and merged else "original",
        load_dtype=load_dtype(run[1]) if run is not None else "F32",
        imatrix=imatrix,
    )
    (made,) = press(request, console)
    _settle(made, partial)


def _settle(made: QuantizedFile, folder: Path) -> None:
    made.path.rename(folder / f"{_STEM}.gguf")
    write_json(folder / _RECORD, {"digest": made.digest, "size": made.size})


def _base_without_run(package: Package) -> Path:
    """The base model of a package whose run is not here: from the hub, a registry or Starfreight itself."""
    origin = package.base
    if origin.name != STARTER and origin.revision is None:
        raise InputError(
            f"The base model {origin.name} cannot be found without the package's run.",
            where=f"run {package.run}",
            fix="name the directory of the run",
        )
    folder = locate_base(Base(model=origin.name, revision=origin.revision), Path("/nonexistent"))
    files = [_file(folder, path) for path in checkpoint_files(folder)]
    if sha256_bytes(canonical_json(files)) != origin.digest:
        raise GateError(
            f"The base model {origin.name} is not the one the package was made from.",
            where=str(folder),
            fix="name the directory of the package's run",
        )
    return folder


def _file(folder: Path, path: Path) -> dict[str, Any]:
    relative = path.relative_to(folder).as_posix()
    return FileDigest(path=relative, digest=sha256_file(path), size=path.stat().st_size).model_dump()
