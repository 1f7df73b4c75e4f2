"""The press without a run: from a base model's directory to GGUF files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.base_model import STARTER, builtin_folder
from starfreight.console import Console
from starfreight.directory_lock import only_one
from starfreight.errors import InputError, RecipeError
from starfreight.files import sweep_partials
from starfreight.packager.build.base_files import check_base_files
from starfreight.packager.hashed_file import HashedFile
from starfreight.packager.press import (
    LoraRequest,
    ModelIdentity,
    ModelOrigin,
    PressRequest,
    press,
    press_lora,
)
from starfreight.packager.press.kernels import Device
from starfreight.packager.press.open_base import open_checked
from starfreight.packager.press.press import LoadDtype
from starfreight.quantization import Quantization
from starfreight.recipe.package import MergeBase
from starfreight.run import ADAPTER_FOLDER, RUN_FILE, Run


@dataclass(frozen=True)
class PressFilesRequest:
    """Request for GGUF files of a base model, and of its adapter if given.

    Attributes:
        out: directory of the files.
        base: a directory in Hugging Face layout, or ``builtin:starter``.
        adapter: a LoRA adapter's directory.
        quantize: the quantizations, in any case.
        name: stem of the files' names; ``None`` for the run's or the base's name.
        merge_base: as in :class:`~starfreight.packager.press.PressRequest`.
        load_dtype: the same.
        imatrix: an importance matrix in llama.cpp's GGUF format.
        device: where to quantise, as in :class:`~starfreight.packager.press.PressRequest`.
        lora: write the adapter as a LoRA file, too.
        threads: number of threads; ``None`` for one per core.
    """

    out: Path
    base: str
    adapter: Path | None = None
    quantize: tuple[str, ...] = ()
    name: str | None = None
    merge_base: MergeBase = "original"
    load_dtype: LoadDtype = "BF16"
    imatrix: Path | None = None
    device: Device = "auto"
    lora: bool = False
    threads: int | None = None


def press_files(request: PressFilesRequest, console: Console) -> tuple[HashedFile, ...]:
    """Press a base model, merged with its adapter if given. One process per output directory.

    Returns:
        A :class:`~starfreight.packager.hashed_file.QuantizedFile` for each quantization, then the LoRA file.

    Raises:
        RecipeError: no file is requested, or options contradict each other.
        InputError: the base, the adapter or the importance matrix is invalid, or another process is pressing
            there.
        GateError: the adapter is in a run's directory, and the base is not that run's.
        ServiceError: the disk is full.
    """
    quantizations = _checked(request)
    adapter, out = request.adapter, request.out
    folder = _base_folder(request.base)
    base_name = request.base.removeprefix("builtin:") if request.base == STARTER else folder.resolve().name
    name = request.name or (_adapter_name(adapter) if adapter else base_name)
    identity = ModelIdentity(name, base_models=(ModelOrigin(base_name),) if adapter else ())
    checkpoint = open_checked(folder)
    if adapter is not None:
        _check_base_of(adapter, folder, console)
    with only_one(out, "pressing"):
        sweep_partials(out)
        made: list[HashedFile] = []
        if quantizations:
            to_press = PressRequest(
                base=checkpoint,
                adapter=adapter,
                quantizations=quantizations,
                out=out,
                name=name,
                identity=identity,
                threads=request.threads,
                merge_base=request.merge_base,
                load_dtype=request.load_dtype,
                imatrix=request.imatrix,
                device=request.device,
            )
            made += press(to_press, console)
        if request.lora and adapter is not None:
            made.append(press_lora(LoraRequest(checkpoint, adapter, out, name, identity), console))
    return tuple(made)


def _checked(request: PressFilesRequest) -> tuple[Quantization, ...]:
    """The quantizations of a request whose options fit together."""
    if not request.quantize and not request.lora:
        raise RecipeError(
            "No file is requested.", fix="add --quantize with one of " + ", ".join(Quantization)
        )
    if request.lora and request.adapter is None:
        raise RecipeError("--lora needs an adapter.", fix="name its directory with --adapter")
    if request.merge_base != "original" and request.adapter is None:
        raise RecipeError(
            f"--merge-base {request.merge_base} needs an adapter.",
            fix="name its directory with --adapter, or leave --merge-base out",
        )
    if request.imatrix is not None and not request.quantize:
        raise RecipeError(
            "--imatrix has no effect without --quantize.", fix="add --quantize, or leave --imatrix out"
        )
    return tuple(Quantization.parse(item) for item in request.quantize)


def _base_folder(base: str) -> Path:
    if base.startswith("builtin:"):
        return builtin_folder(base)
    if not Path(base).is_dir():
        raise InputError(
            f"The base model {base!r} is not a directory.",
            where=str(Path(base).absolute()),
            fix=f"name a directory in Hugging Face layout (hf download fetches one), or {STARTER}",
        )
    return Path(base)


def _check_base_of(adapter: Path, base: Path, console: Console) -> None:
    """Compare the base with the run's, if the adapter is in a run's directory.

    An adapter from elsewhere records nothing about its base but shapes.
    """
    run = adapter.resolve().parent
    if adapter.is_dir() and (run / RUN_FILE).exists():
        check_base_files(base, Run.load(run).base.files, console)


def _adapter_name(adapter: Path) -> str:
    """The directory's name, or the run's for an adapter in a run's directory."""
    folder = adapter.resolve()
    return folder.parent.name if folder.name == ADAPTER_FOLDER else folder.name
