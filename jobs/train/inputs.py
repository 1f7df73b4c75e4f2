"""Inputs of a job: the base model and the data, verified to be unchanged since the run was prepared."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from starfreight.checkpoint.files import deciding_files
from starfreight.console import human_count
from starfreight.data_manifest import DataManifest
from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.jobs.data.blocks.block_file import summary
from starfreight.jobs.data.blocks.training_data import Corpus, TrainingData, make_blocks
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.side_progress import side_progress
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.train.process_group import ProcessGroup
from starfreight.run import DATA_MANIFEST, Inputs, Run


def read_inputs(
    folder: Path, run: Run, inputs: Inputs | None, stop: StopRequest, processes: ProcessGroup
) -> tuple[Path, TrainingData]:
    """Verify the base model and read the data, both unchanged since the run was prepared.

    The first process verifies and writes the blocks; the others then read them.

    Args:
        folder: the run directory.
        run: its record.
        inputs: paths of the inputs; ``None`` for those in the run's ``inputs.json``.
        stop: checked while the blocks are made.
        processes: the processes training together.

    Returns:
        The base model directory, and the data.

    Raises:
        InputError: an input has changed.
        JobStopped: a stop was requested while the blocks were made.
    """
    inputs = inputs or Inputs.load(folder)
    base = Path(inputs.base)
    size = human_count(sum(file.size for file in run.base.files), "B")
    events.send("phase", text=f"Checking the {size} of the base model")
    if processes.is_first:
        with side_progress("Checking", sum(file.size for file in run.base.files), "B") as advance:
            _check_base(base, run, advance, stop)
    events.send("phase", text="Preparing the data")
    if processes.is_first:
        data = _read_data(folder, run, inputs, base, stop)
    processes.barrier()
    if not processes.is_first:
        data = _read_data(folder, run, inputs, base, stop)
    events.send("blocks", **summary(data.record))
    return base, data


def _check_base(base: Path, run: Run, advance: Callable[[int], None], stop: StopRequest) -> None:
    """Check that the files which training reads are those which were hashed, unchanged."""
    recorded = {file.path: file.digest for file in run.base.files}

    def read(size: int) -> None:
        stop.check()
        advance(size)

    for name in deciding_files(base):
        if name not in recorded:
            raise InputError(
                "A file was added to the base model after the run was prepared.",
                where=str(base / name),
                fix="remove it, or start a new run",
            )
    for name, digest in recorded.items():
        if sha256_file(base / name, read) != digest:
            raise InputError(
                "A file of the base model has changed since the run was prepared.",
                where=str(base / name),
                fix="restore it, or start a new run",
            )


def _read_data(folder: Path, run: Run, inputs: Inputs, base: Path, stop: StopRequest) -> TrainingData:
    path = folder / DATA_MANIFEST
    if sha256_file(path) != run.data_manifest.digest:
        raise InputError(
            "The data manifest has changed since the run was prepared.",
            where=str(path),
            fix="restore it, or start a new run",
        )
    paths = [Path(p) for p in inputs.data]
    threads = run.recipe.run.threads
    corpus = Corpus(
        run.recipe, DataManifest.load(path), paths, base, threads, stop.check, _reading_progress(),
        has_begun=run.blocks is not None,
    )  # fmt: skip
    return make_blocks(corpus, folder, run.blocks)


def _reading_progress() -> Callable[[int, int], None]:
    """Report twice a second how much of the data has been read."""
    waiting, last = 0, time.monotonic()

    def tell(size: int, whole: int) -> None:
        nonlocal waiting, last
        waiting += size
        if time.monotonic() - last > 0.5:
            events.send("read", bytes=waiting, whole=whole)
            waiting, last = 0, time.monotonic()

    return tell
