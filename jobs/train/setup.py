"""What a job works with: the base model and the data as they were prepared, and the model that learns."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from starfreight import __version__
from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.jobs.data.blocks.block_file import summary
from starfreight.jobs.data.blocks.training_data import Corpus, TrainingData, make_blocks
from starfreight.jobs.data.manifest.manifest import DataManifest
from starfreight.jobs.protocol import events
from starfreight.jobs.train.environment import IMAGE_VARIABLE
from starfreight.jobs.train.processes import Processes
from starfreight.jobs.train.stop_request import StopRequest
from starfreight.run import DATA_MANIFEST, Inputs, Machine, Run

_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "datasets", "tokenizers")


def read_inputs(
    folder: Path, run: Run, places: Inputs | None, stop: StopRequest, processes: Processes
) -> tuple[Path, TrainingData]:
    """The base model's folder and the data, both as they were when the run was prepared.

    The first process checks and makes what the others then read.

    Args:
        folder: the run's folder.
        run: its record.
        places: where the inputs lie; ``inputs.json`` in that folder says it when ``None``.
        stop: asked while the data is made.
        processes: those that train together.

    Raises:
        InputError: one of them is not what it was.
        JobStopped: a stop was asked for while the data was made.
    """
    inputs = places or Inputs.load(folder)
    base = Path(inputs.base)
    for file in run.base.files if processes.is_first else ():
        if sha256_file(base / file.path) != file.digest:
            raise InputError(
                "A file of the base model has changed since the run was prepared.",
                where=str(base / file.path),
                fix="restore it, or start a new run",
            )
    events.send("phase", text="Preparing the data")
    if processes.is_first:
        data = _read_data(folder, run, inputs, base, stop)
    processes.wait()
    if not processes.is_first:
        data = _read_data(folder, run, inputs, base, stop)
    events.send("blocks", **summary(data.record))
    return base, data


def _read_data(folder: Path, run: Run, inputs: Inputs, base: Path, stop: StopRequest) -> TrainingData:
    path = folder / DATA_MANIFEST
    if sha256_file(path) != run.data_manifest.digest:
        raise InputError(
            "The data manifest is not the one that the run was prepared with.",
            where=str(path),
            fix="restore it, or start a new run",
        )
    paths = [Path(p) for p in inputs.data]
    threads = run.recipe.run.threads
    corpus = Corpus(
        run.recipe, DataManifest.load(path), paths, base, threads, stop.check, _reading_progress()
    )
    return make_blocks(corpus, folder, run.blocks)


def _reading_progress() -> Callable[[int, int], None]:
    """Tells twice a second how much of the data has been read."""
    waiting, last = 0, time.monotonic()

    def tell(size: int, whole: int) -> None:
        nonlocal waiting, last
        waiting += size
        if time.monotonic() - last > 0.5:
            events.send("read", bytes=waiting, whole=whole)
            waiting, last = 0, time.monotonic()

    return tell


def load(run: Run, base: Path, processes: Processes) -> Any:
    """The base model with a fresh adapter, on this process's device."""
    events.send("phase", text="Loading the base model")
    import torch
    import transformers

    from starfreight.jobs.train.model import choose_device, load_model

    transformers.utils.logging.set_verbosity_error()
    # A run that goes on keeps its number of threads, on which the last bits of a sum depend.
    torch.set_num_threads(run.machine.threads if run.machine else _threads(run.recipe.run.threads))
    device = choose_device(processes.local_rank)
    return load_model(base, run.base.architecture, run.recipe.training, device)


def with_machine(run: Run, device: Any, processes: Processes) -> Run:
    """The run's record with the versions, the image and the hardware of this attempt."""
    import torch

    from starfreight.jobs.train.model import choose_attention

    machine = Machine(
        processor=platform.processor() or platform.machine(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        processes=processes.count,
        attention=choose_attention(device),
    )
    versions = {"starfreight": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in _LIBRARIES}
    return run.model_copy(update={"versions": versions, "machine": machine, "image": _image()})


def _image() -> str | None:
    """The digest of the image that this process's container was made from, as whoever started it says."""
    said = os.environ.get(IMAGE_VARIABLE, "")
    return said if re.fullmatch(r"sha256:[0-9a-f]{64}", said) else None


def _threads(asked: int | None) -> int:
    # One core is left for everything else: threads that wait for one another slow a small model
    # down tenfold when another process holds one of their cores.
    return asked or max(1, (os.cpu_count() or 2) - 1)
