"""The gate of ``package build``: the finished file has the loss that training measured.

The largest file that fits into memory is run through llama.cpp on the run's loss sample, in a process of its
own. A file outside the bounds is not the model that was trained, and makes no package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.checkpoint import ModelShape
from starfreight.console import Console, human_count
from starfreight.errors import GateError
from starfreight.gguf.llama_library import BATCH
from starfreight.gguf.token_losses import (
    MeasurementError,
    MeasureRequest,
    has_llama_cpp,
    measure_tokens,
)
from starfreight.loss_sample import LossSample
from starfreight.machine_limits import available_memory, usable_processors
from starfreight.packager.build.loss_bounds import Comparison, bounds_of, compare
from starfreight.packager.hashed_file import HashedFile, QuantizedFile
from starfreight.packager.loss_check import NOT_INSTALLED, LossCheck
from starfreight.quantization import Quantization
from starfreight.run import Run

_OVERHEAD = 512 << 20
"""Bytes that llama.cpp needs besides the weights, the cache of keys and values, and the logits."""

_SMALL = 64 << 20
"""Bytes of a file for which one thread is fastest: several wait for each other at every layer."""

_MOST_THREADS = 64
_PRECISION = (Quantization.F32, Quantization.BF16, Quantization.F16)


@dataclass(frozen=True)
class BuiltFiles:
    """The files to check.

    Attributes:
        run: the finished run.
        folder: its directory.
        shape: of the model.
        pressed: the GGUF files.
        lora: the adapter's file, if the GGUF files are the base model's.
    """

    run: Run
    folder: Path
    shape: ModelShape
    pressed: Sequence[QuantizedFile]
    lora: HashedFile | None


def check_loss(built: BuiltFiles, console: Console, *, skip: bool = False) -> LossCheck | None:
    """Compare a file's loss with training's, and say what came of it.

    Args:
        built: the files.
        console: shows progress and the result.
        skip: true to leave the check out on request.

    Returns:
        The result; ``None`` for a run of an earlier version, which has no sample.

    Raises:
        GateError: the file differs from what was trained, llama.cpp cannot run it, or the sample is not the
            run's.
    """
    assert built.run.outcome is not None
    record = built.run.outcome.sample
    if record is None:
        console.note("Loss not compared with training: the run has no sample, as in earlier versions.")
        return None
    if skip:
        console.note("Loss not compared with training: skipped on request.")
        return LossCheck("skipped on request")
    if not has_llama_cpp():
        console.note(f"Loss not compared with training: {NOT_INSTALLED} (pip install 'starfreight[llama]').")
        return LossCheck("not measured", NOT_INSTALLED)
    sample = LossSample.load(built.folder, record)
    available = available_memory()
    file = choose_file(built, sample, available)
    if file is None:
        assert available is not None
        return _not_measured(f"no file fits into {human_count(available, 'B')} of memory", console)
    try:
        comparison = _measured(built, file, sample, console)
    except MeasurementError as error:
        if error.of_machine:
            return _not_measured(f"llama.cpp does not run here ({error.reason})", console)
        raise _refused(f"llama.cpp cannot run {file.path.name}: {error.reason}.", built.folder) from error
    run = built.run
    other_base = run.recipe.training.method == "qlora" and run.recipe.package.merge.base == "original"
    bounds = bounds_of(file.quantization, other_base=other_base)
    problem = comparison.problem(bounds)
    if problem is not None:
        raise _refused(
            f"{file.path.name} is not the model that was trained: it {problem}. On {sample.tokens:,} tokens "
            f"its loss in llama.cpp is {comparison.loss:.4f} nats per token; training measured "
            f"{sample.loss:.4f}, and {sample.base_loss:.4f} without the adapter.",
            built.folder,
        )
    console.note(
        f"{file.path.name} agrees with training: {comparison.loss:.3f} nats per token in llama.cpp, "
        f"{sample.loss:.3f} in training."
    )
    loss = round(sample.loss, 4)
    return LossCheck(
        "within the bounds", None, file.path.name, sample.tokens, loss, round(bounds.difference, 4)
    )


def choose_file(built: BuiltFiles, sample: LossSample, available: int | None) -> QuantizedFile | None:
    """The largest file that llama.cpp can run within ``available`` bytes of memory; ``None`` without one.

    Of equal files it is the more precise one.
    """
    longest = max(len(document.ids) for document in sample.documents)
    cache = 4 * built.shape.layers * built.shape.kv_width * longest
    # As a result, a copy of it, and one shared with this process.
    logits = 3 * 4 * built.shape.vocab_size * min(longest, BATCH)
    beside = cache + logits + _OVERHEAD + (built.lora.size if built.lora else 0)

    def rank(file: QuantizedFile) -> tuple[int, int]:
        precision = (
            _PRECISION.index(file.quantization) if file.quantization in _PRECISION else len(_PRECISION)
        )
        return -file.size, precision

    for file in sorted(built.pressed, key=rank):
        if available is None or file.size + beside <= available:
            return file
    return None


def _measured(built: BuiltFiles, file: QuantizedFile, sample: LossSample, console: Console) -> Comparison:
    documents = [(document.ids, document.counted) for document in sample.documents]
    threads = 1 if file.size < _SMALL else min(usable_processors(), _MOST_THREADS)
    request = MeasureRequest(file.path, built.lora.path if built.lora else None, documents, threads)
    with console.progress(
        "Comparing the file's loss with training's", total=sample.tokens, unit="tokens"
    ) as advance:
        rows = measure_tokens(request, advance)
    return compare(
        [loss for row in rows for loss in row],
        [loss for document in sample.documents for loss in document.losses],
        [loss for document in sample.documents for loss in document.base_losses],
    )


def _not_measured(reason: str, console: Console) -> LossCheck:
    console.note(f"Loss not compared with training: {reason}.")
    return LossCheck("not measured", reason)


def _refused(what: str, folder: Path) -> GateError:
    return GateError(
        what,
        where=str(folder),
        fix="check the base model and its config.json, and report this; starfreight package build "
        "--no-loss-check builds without the check and records that",
    )
