"""One job from its first phase to its last. Each phase that is done is found done the next time."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starfreight.base_model import public_name
from starfreight.errors import JobFailed, JobStopped
from starfreight.files import only_one, read_json, sha256_bytes, write_bytes, write_json
from starfreight.jobs.data.blocks.training_data import TrainingData
from starfreight.jobs.protocol import events
from starfreight.jobs.train.processes import ALONE, Processes, join
from starfreight.jobs.train.setup import load, read_inputs, with_machine
from starfreight.jobs.train.stop_request import StopRequest
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


def run_job(folder: Path, stop: StopRequest, places: Inputs | None = None) -> None:
    """Trains the run in ``folder`` to its end, from wherever an earlier attempt got to.

    Args:
        folder: the run's folder.
        stop: asked between two steps.
        places: where the inputs lie, when that is not where the run was prepared.

    Raises:
        JobStopped: a stop was asked for; the checkpoint is written.
        StarfreightError: the inputs are not what they were, or training failed.
    """
    processes = join()
    _agree_on(folder, processes)
    if not processes.is_first:  # The first one writes the record, and holds the folder.
        events.silence()
        processes.wait()
        run = Run.load(folder)
        if not run.is_trained(folder):
            _train(folder, run, places, stop, processes)
        return
    with only_one(folder, "training"):
        run = Run.load(folder)
        if run.is_trained(folder):
            processes.wait()
            if not run.is_calibrated(folder):
                _calibrate_later(folder, run, places, stop)
            return
        run = run.model_copy(update={"status": "running", "started": run.started or _now()})
        run.save(folder)
        try:
            processes.wait()
            _train(folder, run, places, stop, processes)
        except Exception as error:
            status = "stopped" if isinstance(error, JobStopped) else "failed"
            Run.load(folder).model_copy(update={"status": status, "ended": _now()}).save(folder)
            raise


def _train(folder: Path, run: Run, places: Inputs | None, stop: StopRequest, processes: Processes) -> None:
    began = time.monotonic()
    base, data = read_inputs(folder, run, places, stop, processes)
    _agree_to_go_on(stop, processes)
    model = load(run, base, processes)
    run = with_machine(run, model.device, processes).model_copy(update={"blocks": data.record.digest})
    if processes.is_first:
        run.save(folder)
    _agree_to_go_on(stop, processes)

    from starfreight.jobs.train.adapter import load_adapter, save_adapter
    from starfreight.jobs.train.best import BEST_FOLDER, best_so_far
    from starfreight.jobs.train.held_out import measure
    from starfreight.jobs.train.loop import Loop, train
    from starfreight.jobs.train.metrics import Metrics
    from starfreight.jobs.train.report import write_report

    # Several cannot stop in the middle of a measurement that they share.
    check = stop.check if processes.count == 1 else _do_not_stop

    def measure_now() -> Measurement | None:
        return measure(model, data.held_out, data.probes, check, processes)

    def held_out_loss() -> float | None:
        measured = measure(model, data.held_out, (), _do_not_stop, processes)
        return measured.loss if measured else None

    before = _before(folder, measure_now, processes)
    _tell("before", before)
    events.send("phase", text="Training")
    metrics = Metrics(folder / METRICS_FILE)
    training = run.recipe.training
    checkpoints = folder / "checkpoints"
    # The limit counts from the beginning, but is asked only from here on: however short it is, each
    # attempt makes at least one step, and what comes after the last one is not cut short.
    stop.limit(run.recipe.run.time_limit, since=began)
    steps = train(model, Loop(data, training, checkpoints, metrics, stop, held_out_loss, processes))
    stop.limit(None)
    after = measure_now()
    best = best_so_far(checkpoints) if training.keep == "best" else None
    kept_step = None
    if best is not None and after is not None and best.loss < after.loss:
        events.send(
            "phase", text=f"Taking the adapter of step {best.step}, which had the lowest held-out loss"
        )
        load_adapter(model, checkpoints / BEST_FOLDER)
        kept_step, after = best.step, measure_now()
    _tell("after", after)
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
    )
    done = run.model_copy(update={"status": "done", "outcome": outcome})
    write_report(done, folder)
    calibration = _calibrate(folder, done, model, data, stop)
    done.model_copy(update={"ended": _now(), "calibration": calibration}).save(folder)


def _calibrate_later(folder: Path, run: Run, places: Inputs | None, stop: StopRequest) -> None:
    """The calibration run that a recipe asks for after it has been trained.

    The record of the training stays as it is, above all the machine and the time of its end.
    """
    base, data = read_inputs(folder, run, places, stop, ALONE)
    stop.check()
    model = load(run, base, ALONE)

    from starfreight.jobs.train.adapter import load_adapter

    load_adapter(model, folder / ADAPTER_FOLDER)
    calibration = _calibrate(folder, run, model, data, stop)
    run.model_copy(update={"calibration": calibration}).save(folder)


def _calibrate(
    folder: Path, run: Run, model: Any, data: TrainingData, stop: StopRequest
) -> Calibration | None:
    """Writes the tuned model's importance matrix, if the recipe asks for one."""
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


def _agree_to_go_on(stop: StopRequest, processes: Processes) -> None:
    """Waits for the others, and stops with them when any of them was asked to."""
    stop.check(asked=processes.any(stop.asked))


def _agree_on(folder: Path, processes: Processes) -> None:
    """Another node may have found the link to an earlier run, from before the data changed."""
    mine = float(int(sha256_bytes(folder.name.encode()).removeprefix("sha256:")[:8], 16))
    if processes.any(processes.total([mine])[0] != mine * processes.count):
        raise JobFailed(
            "The nodes have prepared different runs.",
            where=str(folder),
            fix="run the job again: the data changed while it began",
        )


def _do_not_stop() -> None:
    """For work that is not worth interrupting, or cannot be."""


def _before(
    folder: Path, measure_now: Callable[[], Measurement | None], processes: Processes
) -> Measurement | None:
    """The base model's measurement, which is made once for a run, however often it is resumed."""
    path = folder / _BEFORE
    if path.exists():
        return Measurement.model_validate(read_json(path, 1 << 16, "measurement"))
    measured = measure_now()
    if measured is not None and processes.is_first:
        write_json(path, measured.model_dump())
    return measured


def _tell(when: str, measured: Measurement | None) -> None:
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
