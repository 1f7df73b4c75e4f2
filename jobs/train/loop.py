"""The training loop: transformers' Trainer, with blocks in a fixed order and sealed checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from starfreight.errors import JobFailed
from starfreight.files import disk_errors
from starfreight.jobs.data.blocks.training_data import TrainingData
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.train import checkpoints
from starfreight.jobs.train.adapter import load_adapter
from starfreight.jobs.train.batches import collate
from starfreight.jobs.train.best_adapter import keep_if_best
from starfreight.jobs.train.dropout_seeds import DropoutSeeds
from starfreight.jobs.train.early_stopping import DivergenceDetector, has_stalled
from starfreight.jobs.train.memory import memory_in_use
from starfreight.jobs.train.metrics import Metrics, read_metrics
from starfreight.jobs.train.process_group import SINGLE_PROCESS, ProcessGroup
from starfreight.jobs.train.resumption import say_differences
from starfreight.recipe import Training


@dataclass(frozen=True)
class Loop:
    """Inputs of the training loop, besides the model.

    Attributes:
        data: the blocks, already in order.
        training: the recipe's settings.
        folder: the checkpoint directory.
        metrics: receives the figures of each step.
        stop: checked after every step.
        measure: returns the held-out loss of the current model, ``None`` without held-out data.
        processes: this process and the ones it trains with.
    """

    data: TrainingData
    training: Training
    folder: Path
    metrics: Metrics
    stop: StopRequest
    measure: Callable[[], float | None]
    processes: ProcessGroup = SINGLE_PROCESS


def train(model: Any, loop: Loop) -> int:
    """Train from the last valid checkpoint to the end.

    Returns:
        Number of steps the adapter has been trained for.

    Raises:
        JobStopped: a stop was requested; the checkpoint is written.
        JobFailed: the loss is not finite, or has diverged; the last valid checkpoint is kept.
    """
    loop.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = _last_good(loop)
    done = checkpoints.step_of(checkpoint) if checkpoint else 0
    arguments = _arguments(loop, on_cpu=model.device.type == "cpu")
    if loop.processes.is_first:
        loop.metrics.begin_after(done)
        if checkpoint and done < arguments.max_steps:
            say_differences(checkpoint, loop.metrics.path, loop.processes.count)
        events.send("plan", steps=arguments.max_steps, done=done)
    loop.processes.barrier()
    watch = _LoopCallback(loop)
    if checkpoint and watch.has_stalled():  # Interrupted after the last step.
        load_adapter(model, checkpoint)
        return done
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=loop.data.blocks,
        data_collator=collate,
        callbacks=[DropoutSeeds(loop.training.seed, loop.processes), watch],
    )
    trainer.remove_callback(PrinterCallback)  # Standard output is for events.
    try:
        with disk_errors(loop.folder):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        loop.metrics.close()
    if trainer.state.global_step < arguments.max_steps and watch.was_stopped:
        loop.stop.check(requested=True)
    return int(trainer.state.global_step)


def _last_good(loop: Loop) -> Path | None:
    """The checkpoint to resume from. The first process deletes invalid ones before the others look."""
    if loop.processes.is_first:
        checkpoints.last_good(loop.folder)
    loop.processes.barrier()
    return checkpoints.last_good(loop.folder)


def _arguments(loop: Loop, *, on_cpu: bool) -> TrainingArguments:
    training = loop.training
    steps = len(loop.data.blocks) // (training.batch_size * training.gradient_accumulation)
    arguments = TrainingArguments(
        output_dir=str(loop.folder),
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        # A step consists of the same blocks for any number of processes.
        gradient_accumulation_steps=training.gradient_accumulation // loop.processes.count,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=math.ceil(training.warmup * steps),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_gradient_norm,
        optim="adamw_torch" if on_cpu else "paged_adamw_8bit",
        use_cpu=on_cpu,
        bf16=not on_cpu,
        # Gradient checkpointing is already enabled on the model where needed.
        gradient_checkpointing=False,
        # The blocks are already shuffled by the recipe's seed: the order is the same everywhere.
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=training.checkpoint_every,
        save_total_limit=training.checkpoints_kept,
        seed=training.seed,
        dataloader_pin_memory=not on_cpu,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        report_to=[],
    )
    # A single process would share each micro-batch, made larger, among all GPUs that it sees (DataParallel).
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


class _LoopCallback(TrainerCallback):
    """Writes metrics, seals checkpoints, evaluates periodically, and stops on request."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._step_tokens = (
            loop.training.batch_size * loop.training.gradient_accumulation * loop.training.sequence_length
        )
        self._since = time.monotonic()
        self._divergence = DivergenceDetector()
        self._held_out: list[float] = []
        for row in read_metrics(loop.metrics.path):  # Rows of an earlier attempt.
            if "loss" in row:
                self._divergence.add(row["loss"])
            if "held_out_loss" in row:
                self._held_out.append(row["held_out_loss"])
        self.was_stopped = False

    def has_stalled(self) -> bool:
        """True if early stopping applies."""
        return has_stalled(self._held_out, self._loop.training.early_stopping)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._since = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save a checkpoint and end training if any of the processes was requested to stop."""
        if self._loop.processes.any(self._loop.stop.requested):
            self.was_stopped = True
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write the row of a step, and evaluate if due."""
        if logs is None or "loss" not in logs:
            return
        step, now = state.global_step, time.monotonic()
        self._check(step, logs["loss"], float(logs.get("grad_norm", 0.0)))
        seconds = max(now - self._since, 1e-9)
        rate = self._step_tokens / seconds
        if self._loop.processes.is_first:
            self._loop.metrics.add(
                step,
                loss=logs["loss"],
                learning_rate=logs["learning_rate"],
                gradient_norm=float(logs.get("grad_norm", 0.0)),
                tokens=step * self._step_tokens,
                tokens_per_second=rate,
                memory=memory_in_use(),
                processes=self._loop.processes.count,
            )
            events.send("step", step=step, loss=logs["loss"], tokens_per_second=rate)
        if step % self._loop.training.evaluate_every == 0 and step < state.max_steps:
            self._measure(step, model, control)
        self._since = time.monotonic()

    def _check(self, step: int, loss: float, gradient_norm: float) -> None:
        # Runs before the checkpoint of this step is written: nothing may resume from weights updated
        # with a NaN gradient.
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            what = f"The loss is {loss} and the gradient's norm {gradient_norm} in step {step}"
        elif self._divergence.add(loss):
            what = f"The loss keeps rising, to {loss:.2f} nats per token in step {step}"
        else:
            return
        raise JobFailed(
            f"{what}: training has diverged.",
            where=str(self._loop.folder),
            fix="lower training.learning_rate or training.max_gradient_norm; "
            "the last valid checkpoint is kept",
        )

    def _measure(self, step: int, model: Any, control: TrainerControl) -> None:
        events.send("advance", count=0, text=f"step {step}: measuring the held-out loss")
        held_out = self._loop.measure()
        if held_out is None:
            return
        self._held_out.append(held_out)
        if self._loop.processes.is_first:
            if self._loop.training.keep == "best":
                keep_if_best(model, self._loop.folder, step, held_out)
            self._loop.metrics.add(step, held_out_loss=held_out)
        if self.has_stalled():
            control.should_save = True
            control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Seal the checkpoint just written, after every process has written its part."""
        self._loop.processes.barrier()
        if self._loop.processes.is_first:
            checkpoints.seal(self._loop.folder / f"checkpoint-{state.global_step}")
            events.send("checkpoint", step=int(state.global_step))
        self._loop.processes.barrier()
