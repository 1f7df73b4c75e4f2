"""One job from its first phase to its last. A finished phase is not repeated on resume."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starfreight.base_model import public_name
from starfreight.console import human_count
from starfreight.directory_lock import only_one
from starfreight.errors import JobFailed, JobStopped
from starfreight.files import read_json, sha256_bytes, write_bytes, write_json
from starfreight.jobs.data.blocks.training_data import TrainingData
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.side_progress import side_progress
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.train.checkpoints import newest_step
from starfreight.jobs.train.inputs import read_inputs
from starfreight.jobs.train.machine import load_on_device, record_machine
from starfreight.jobs.train.process_group import SINGLE_PROCESS, ProcessGroup, join_process_group
from starfreight.loss_sample import SampleRecord
from starfreight.records import FileDigest
from starfreight.run import (
    ADAPTER_FOLDER,
    IMATRIX_FILE,
    METRICS_FILE,
    Calibration,
    Inputs,
    Measurement,
    Outcome,
    Run,
)

_BEFORE = "before.json"
_CHECKPOINTS = "checkpoints"


def run_job(folder: Path, stop: StopRequest, inputs: Inputs | None = None) -> None:
    """Train the run in ``folder`` to its end, resuming any earlier attempt.

    Args:
        folder: the run directory.
        stop: checked between steps.
        inputs: paths of the inputs, if they differ from those the run was prepared with.

    Raises:
        JobStopped: a stop was requested; the checkpoint is written.
        StarfreightError: the inputs have changed, or training failed.
    """
    processes = join_process_group()
    _check_same_run(folder, processes)
    if not processes.is_first:  # The first process writes the record and locks the directory.
        events.silence()
        processes.barrier()
        run = Run.load(folder)
        if not run.is_trained(folder):
            _train(folder, run, inputs, stop, processes)
        return
    with only_one(folder, "training"):
        run = Run.load(folder)
        if run.is_trained(folder):
            processes.barrier()
            if not run.is_calibrated(folder):
                _calibrate_later(folder, run, inputs, stop)
            return
        run = run.model_copy(update={"status": "running", "started": run.started or _now()})
        run.save(folder)
        try:
            processes.barrier()
            _train(folder, run, inputs, stop, processes)
        except Exception as error:
            status = "failed"
            if isinstance(error, JobStopped):
                status = "stopped"
                _say_what_is_kept(error, folder)
            Run.load(folder).model_copy(update={"status": status, "ended": _now()}).save(folder)
            raise


def _say_what_is_kept(error: JobStopped, folder: Path) -> None:
    """Completes the error of a stopped job with its checkpoint: a stop before the first step has none."""
    step = newest_step(folder / _CHECKPOINTS)
    if step is None:
        error.what = "Stopped before the first checkpoint."
        error.fix = "the same command starts at the first step"
    else:
        error.what = f"Stopped at step {step:,}; its checkpoint is kept."
        error.fix = "the same command continues from there"


def _train(folder: Path, run: Run, inputs: Inputs | None, stop: StopRequest, processes: ProcessGroup) -> None:
    began = time.monotonic()
    base, data = read_inputs(folder, run, inputs, stop, processes)
    _check_stop_together(stop, processes)
    model = load_on_device(run, base, processes)
    run = record_machine(run, model.device, processes).model_copy(update={"blocks": data.record.digest})
    if processes.is_first:
        run.save(folder)
    _check_stop_together(stop, processes)

    from starfreight.jobs.train.adapter import load_adapter, save_adapter
    from starfreight.jobs.train.best_adapter import BEST_FOLDER, best_so_far
    from starfreight.jobs.train.held_out import measure
    from starfreight.jobs.train.loop import Loop, train
    from starfreight.jobs.train.metrics import Metrics
    from starfreight.jobs.train.report import write_report

    # Processes sharing a measurement cannot stop in the middle of it.
    check = stop.check if processes.count == 1 else _do_not_stop

    def measure_now() -> Measurement | None:
        count = len(data.held_out) + (len(data.probes) if data.held_out else 0)
        with side_progress("Measuring", count, "blocks and lines") as advance:
            return measure(model, data.held_out, data.probes, check, processes, advance)

    def held_out_loss() -> float | None:
        measured = measure(model, data.held_out, (), _do_not_stop, processes)
        return measured.loss if measured else None

    if data.held_out and not (folder / _BEFORE).exists():
        events.send("phase", text=f"Measuring the base model on {_extent(data)}")
    before = _measure_base(folder, measure_now, processes)
    _report_measurement("before", before)
    events.send("phase", text="Training")
    metrics = Metrics(folder / METRICS_FILE)
    training = run.recipe.training
    checkpoints = folder / _CHECKPOINTS
    # The limit counts from the start of the job but applies only from here to the last step: even under
    # a tiny limit each attempt makes one step, and the final phases are never cut short.
    stop.limit(run.recipe.run.time_limit, since=began)
    steps = train(model, Loop(data, training, checkpoints, metrics, stop, held_out_loss, processes))
    stop.limit(None)
    if data.held_out:
        events.send("phase", text=f"Measuring the tuned model on {_extent(data)}")
    after = measure_now()
    best = best_so_far(checkpoints) if training.keep == "best" else None
    kept_step = None
    if best is not None and after is not None and best.loss < after.loss:
        events.send(
            "phase", text=f"Taking the adapter of step {best.step}, which had the lowest held-out loss"
        )
        load_adapter(model, checkpoints / BEST_FOLDER)
        kept_step, after = best.step, measure_now()
    _report_measurement("after", after)
    if not processes.is_first:
        return
    outcome = Outcome(
        steps=steps,
        kept_step=kept_step,
        tokens=steps * training.batch_size * training.gradient_accumulation * training.sequence_length,
        seconds=round(time.monotonic() - began, 3),
        before=before,
        after=after,
        adapter=save_adapter(model, folder, public_name(run.base.model)),
        sample=_sample(folder, base, model, data),
    )
    done = run.model_copy(update={"status": "done", "outcome": outcome})
    _complete_places(folder, base, model, data)
    write_report(done, folder)
    calibration = _calibrate(folder, done, model, data, stop)
    done.model_copy(update={"ended": _now(), "calibration": calibration}).save(folder)


def _sample(folder: Path, base: Path, model: Any, data: TrainingData) -> SampleRecord | None:
    """Write the losses that ``package build`` compares the finished file with."""
    from starfreight.checkpoint import open_checkpoint
    from starfreight.jobs.train.loss_sample import choose_sample, measure_sample, sample_size

    chosen = choose_sample(data.held_out, data.blocks, sample_size(open_checkpoint(base).shape))
    if not chosen:
        return None
    events.send("phase", text="Measuring a sample for the check of the package")
    with side_progress("Measuring", 2 * len(chosen), "blocks") as advance:
        sample = measure_sample(model, chosen, _do_not_stop, advance)
    return sample.save(folder)


def _complete_places(folder: Path, base: Path, model: Any, data: TrainingData) -> None:
    """Write completions of a few held-out places, for the report."""
    from starfreight.jobs.data.encoder import Encoder
    from starfreight.jobs.train.completions import complete_places

    if not data.probes:
        return
    events.send("phase", text="Completing a few held-out places for the report")
    completions = complete_places(model, data.probes, Encoder(base))
    if completions is not None:
        completions.save(folder)


def _extent(data: TrainingData) -> str:
    """The work of a measurement, in words."""
    lines = f" and {human_count(len(data.probes), 'lines')}" if data.probes else ""
    return f"{human_count(len(data.held_out), 'held-out blocks')}{lines}"


def _calibrate_later(folder: Path, run: Run, inputs: Inputs | None, stop: StopRequest) -> None:
    """Calibrate a run trained before its recipe requested an importance matrix.

    The record of the training stays unchanged, above all the machine and the end time.
    """
    base, data = read_inputs(folder, run, inputs, stop, SINGLE_PROCESS)
    stop.check()
    model = load_on_device(run, base, SINGLE_PROCESS)

    from starfreight.jobs.train.adapter import load_adapter

    load_adapter(model, folder / ADAPTER_FOLDER)
    calibration = _calibrate(folder, run, model, data, stop)
    run.model_copy(update={"calibration": calibration}).save(folder)


def _calibrate(
    folder: Path, run: Run, model: Any, data: TrainingData, stop: StopRequest
) -> Calibration | None:
    """Write the tuned model's importance matrix, if the recipe requests one."""
    asked = run.recipe.package.imatrix
    if asked is None or run.outcome is None:
        return None
    from starfreight.jobs.train.calibration import calibrate, imatrix_bytes

    events.send("phase", text="Calibrating")
    learned = run.outcome.tokens // run.recipe.training.sequence_length
    blocks = data.blocks[: min(asked.blocks, learned)]
    activations = calibrate(model, run.base.architecture, blocks, stop.check)
    sources = [public_name(source.source) for source in run.recipe.data]
    made = imatrix_bytes(activations, run.recipe.training.sequence_length, sources)
    write_bytes(folder / IMATRIX_FILE, made)
    file = FileDigest(path=IMATRIX_FILE, digest=sha256_bytes(made), size=len(made))
    return Calibration(imatrix=file, blocks=activations.blocks, tokens=activations.tokens)


def _check_stop_together(stop: StopRequest, processes: ProcessGroup) -> None:
    """Wait for the other processes; stop together if any of them was requested to."""
    stop.check(requested=processes.any(stop.requested))


def _check_same_run(folder: Path, processes: ProcessGroup) -> None:
    """Fail if the nodes hold different runs.

    Another node may have found the link to an earlier run, from before the data changed.
    """
    mine = float(int(sha256_bytes(folder.name.encode()).removeprefix("sha256:")[:8], 16))
    if processes.any(processes.sum([mine])[0] != mine * processes.count):
        raise JobFailed(
            "The nodes have prepared different runs.",
            where=str(folder),
            fix="run the job again: the data changed while it began",
        )


def _do_not_stop() -> None:
    """For work not worth interrupting, or impossible to interrupt."""


def _measure_base(
    folder: Path, measure_now: Callable[[], Measurement | None], processes: ProcessGroup
) -> Measurement | None:
    """The base model's measurement, made once per run, however often it is resumed."""
    path = folder / _BEFORE
    if path.exists():
        return Measurement.model_validate(read_json(path, 1 << 16, "measurement"))
    measured = measure_now()
    if measured is not None and processes.is_first:
        write_json(path, measured.model_dump())
    return measured


def _report_measurement(when: str, measured: Measurement | None) -> None:
    if measured is None:
        return
    if not math.isfinite(measured.loss):
        raise JobFailed(
            f"The held-out loss {when} training is {measured.loss}.",
            fix="check the base model's weights, or lower training.learning_rate",
        )
    events.send("measured", when=when, loss=measured.loss, exact_match=measured.exact_match)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
