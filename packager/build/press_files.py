"""The press without a run: a base model's folder in, GGUF files out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.packager.build.base_files import check_base_files
from starfreight.packager.press import LoraRequest, ModelIdentity, Origin, PressRequest, press, press_lora
from starfreight.packager.press.kernels import Device
from starfreight.packager.press.press import LoadDtype
from starfreight.base_model import STARTER, builtin_folder
from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import only_one, sweep_partials
from starfreight.quantization import Quantization
from starfreight.recipe.package import MergeBase
from starfreight.run import ADAPTER_FOLDER, RUN_FILE, Run


@dataclass(frozen=True)
class MadeFile:
    """One finished file; ``kind`` is its quantization, or ``LoRA``."""

    kind: str
    path: Path
    digest: str
    size: int

    def as_dict(self) -> dict[str, str | int]:
        """The file as ``--json`` prints it."""
        return {"kind": self.kind, "path": str(self.path), "digest": self.digest, "size": self.size}


def press_files(
    out: Path,
    console: Console,
    *,
    base: str,
    adapter: Path | None = None,
    quantize: tuple[str, ...] = (),
    name: str | None = None,
    merge_base: MergeBase = "original",
    load_dtype: LoadDtype = "BF16",
    imatrix: Path | None = None,
    device: Device = "auto",
    lora: bool = False,
    threads: int | None = None,
) -> list[MadeFile]:
    """Presses a base model, and its adapter where there is one.

    Args:
        out: the folder that the files go to. Nobody else may be pressing there.
        console: shows progress.
        base: a folder in Hugging Face layout, or ``builtin:starter``.
        adapter: a LoRA adapter's folder.
        quantize: the quantizations, in any case.
        name: what the files' names start with; ``None`` for the run's or the base's name.
        merge_base: as in :class:`~starfreight.packager.press.PressRequest`.
        load_dtype: the same.
        imatrix: an importance matrix in llama.cpp's GGUF format.
        device: where to quantise, as in :class:`~starfreight.packager.press.PressRequest`.
        lora: whether to write the adapter as a LoRA file, too.
        threads: how many; ``None`` for one for each core.

    Raises:
        RecipeError: nothing was asked for, or things that do not go together.
        InputError: the base, the adapter or the importance matrix cannot be used, or another process is
            pressing there.
        GateError: the adapter lies in a run, and the base is not the one that the run recorded.
        ServiceError: the disk is full.
    """
    if not quantize and not lora:
        raise RecipeError("No file was asked for.", fix="add -q with one of " + ", ".join(Quantization))
    if lora and adapter is None:
        raise RecipeError(
            "There is no adapter to write as a LoRA file.", fix="name its folder with --adapter"
        )
    if merge_base != "original" and adapter is None:
        raise RecipeError(
            f"There is no adapter to merge, so that --merge-base {merge_base} means nothing.",
            fix="name the adapter's folder with --adapter, or leave --merge-base out",
        )
    if imatrix is not None and not quantize:
        raise RecipeError(
            "There is no file to quantise, so that --imatrix means nothing.", fix="add -q, or leave it out"
        )
    folder = _base_folder(base)
    base_name = base.removeprefix("builtin:") if base == STARTER else folder.resolve().name
    name = name or (_adapter_name(adapter) if adapter else base_name)
    identity = ModelIdentity(name, base_models=(Origin(base_name),) if adapter else ())
    request = PressRequest(
        folder, adapter, quantize, out, name, identity, threads, merge_base, load_dtype, imatrix, device
    )  # fmt: skip
    if adapter is not None:
        _check_base_of(adapter, folder, console)
    with only_one(out, "pressing"):
        sweep_partials(out)
        files = press(request, console) if quantize else ()
        made = [MadeFile(str(file.quantization), file.path, file.digest, file.size) for file in files]
        if lora and adapter is not None:
            file = press_lora(LoraRequest(folder, adapter, out, name, identity), console)
            made.append(MadeFile("LoRA", file.path, file.digest, file.size))
    return made


def _base_folder(base: str) -> Path:
    if base.startswith("builtin:"):
        return builtin_folder(base)
    if not Path(base).is_dir():
        raise InputError(
            f"The base model {base!r} is no folder.",
            where=str(Path(base).absolute()),
            fix=f"name a folder in Hugging Face layout (hf download gets one), or {STARTER}",
        )
    return Path(base)


def _check_base_of(adapter: Path, base: Path, console: Console) -> None:
    """An adapter in a run's folder knows its base; one that lies elsewhere only its shapes."""
    run = adapter.resolve().parent
    if adapter.is_dir() and (run / RUN_FILE).exists():
        check_base_files(base, Run.load(run).base.files, console)


def _adapter_name(adapter: Path) -> str:
    """The folder's name, or the run's when the folder is a run's."""
    folder = adapter.resolve()
    return folder.parent.name if folder.name == ADAPTER_FOLDER else folder.name
