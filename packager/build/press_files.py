"""The press without a run: from a base model's directory to GGUF files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from starfreight.base_artifact import is_artifact
from starfreight.base_model import HUB_ID, STARTER, builtin_folder
from starfreight.checkpoint import StreamedBase
from starfreight.console import Console
from starfreight.directory_lock import only_one
from starfreight.errors import InputError, RecipeError
from starfreight.files import sweep_partials
from starfreight.packager.build.base_files import check_base_files, check_published
from starfreight.packager.build.base_source import Streaming, find_base
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
from starfreight.recipe import Base
from starfreight.recipe.package import MergeBase
from starfreight.run import ADAPTER_FOLDER, RUN_FILE, Run

_HUB = re.compile(rf"({HUB_ID.pattern})@([0-9a-f]{{40}})")


@dataclass(frozen=True)
class PressFilesRequest:
    """Request for GGUF files of a base model, and of its adapter if given.

    Attributes:
        out: directory of the files.
        base: a directory in Hugging Face layout, ``builtin:starter``, ``ORGANISATION/NAME@COMMIT`` on the
            hub, or ``oci://...@sha256:...`` in a registry.
        adapter: a LoRA adapter's directory.
        quantize: the quantizations, in any case.
        name: stem of the files' names; ``None`` for the run's or the base's name.
        merge_base: as in :class:`~starfreight.packager.press.PressRequest`.
        load_dtype: the same.
        imatrix: an importance matrix in llama.cpp's GGUF format.
        device: where to quantise, as in :class:`~starfreight.packager.press.PressRequest`.
        lora: write the adapter as a LoRA file, too.
        threads: number of threads; ``None`` for one per core.
        stream_base: true to read the base's weights at their source unless they are on this machine; false to
            download them; ``None`` to decide by the room on the disk.
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
    stream_base: bool | None = None


def press_files(request: PressFilesRequest, console: Console) -> tuple[HashedFile, ...]:
    """Press a base model, merged with its adapter if given. One process per output directory.

    Returns:
        A :class:`~starfreight.packager.hashed_file.QuantizedFile` for each quantization, then the LoRA file.

    Raises:
        RecipeError: no file is requested, or options contradict each other.
        InputError: the base, the adapter or the importance matrix is invalid, or another process is pressing
            there.
        GateError: the adapter is in a run's directory, and the base is not that run's.
        ServiceError: the disk is full, or the source of the base fails.
    """
    quantizations = _checked(request)
    adapter, out = request.adapter, request.out
    base = _find_base(request, quantizations, console)
    base_name = _name(request.base)
    name = request.name or (_adapter_name(adapter) if adapter else base_name)
    identity = ModelIdentity(name, base_models=(ModelOrigin(base_name),) if adapter else ())
    _check_base(base, adapter, console)
    checkpoint = open_checked(base)
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


def _find_base(
    request: PressFilesRequest, quantizations: tuple[Quantization, ...], console: Console
) -> Path | StreamedBase:
    base = request.base
    if base.startswith("builtin:"):
        return builtin_folder(base)
    if Path(base).is_dir():
        return Path(base)
    streaming = Streaming(request.stream_base, request.out, quantizations)
    if is_artifact(base):
        return find_base(Base(model=base), Path(), streaming, console)
    if hub := _HUB.fullmatch(base):
        return find_base(Base(model=hub[1], revision=hub[2]), Path(), streaming, console)
    raise InputError(
        f"The base model {base!r} is not a directory.",
        where=str(Path(base).absolute()),
        fix=f"name a directory in Hugging Face layout, {STARTER}, ORGANISATION/NAME@COMMIT on the hub (40 "
        "hex digits), or oci://HOST/NAMESPACE/NAME@sha256:...",
    )


def _name(base: str) -> str:
    """The base's name in the files: the last part of its own."""
    if base.startswith("builtin:"):
        return base.removeprefix("builtin:")
    return Path(base).resolve().name if Path(base).is_dir() else Path(base).name.partition("@")[0]


def _check_base(base: Path | StreamedBase, adapter: Path | None, console: Console) -> None:
    """Compare the base with the run's, if the adapter is in a run's directory, or else with its source.

    An adapter from elsewhere records nothing about its base but shapes.
    """
    run = adapter.resolve().parent if adapter is not None and adapter.is_dir() else None
    if run is not None and (run / RUN_FILE).exists():
        check_base_files(base, Run.load(run).base.files, console)
    elif isinstance(base, StreamedBase):
        check_published(base, console)


def _adapter_name(adapter: Path) -> str:
    """The directory's name, or the run's for an adapter in a run's directory."""
    folder = adapter.resolve()
    return folder.parent.name if folder.name == ADAPTER_FOLDER else folder.name
