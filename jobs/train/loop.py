"""The training loop: transformers' Trainer, with blocks in their given order and checkpoints that count."""

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
from starfreight.jobs.data.blocks.training_data import TrainingData
from starfreight.jobs.protocol import events
from starfreight.jobs.train import checkpoints
from starfreight.jobs.train.adapter import load_adapter
from starfreight.jobs.train.batches import collate
from starfreight.jobs.train.best import keep_if_best
from starfreight.jobs.train.memory import memory_in_use
from starfreight.jobs.train.metrics import Metrics, read_metrics
from starfreight.jobs.train.processes import ALONE, Processes
from starfreight.jobs.train.stop_request import StopRequest
from starfreight.jobs.train.trend import Divergence, has_stalled
from starfreight.recipe import Training


@dataclass(frozen=True)
class Loop:
    """What the loop needs beside the model.

    Attributes:
        data: the blocks, already in their order.
        training: the recipe's settings.
        folder: where checkpoints go.
        metrics: where figures go.
        stop: asked after every step.
        measure: the held-out loss of the model as it stands; ``None`` when nothing is held out.
        processes: this process among those that train together.
    """

    data: TrainingData
    training: Training
    folder: Path
    metrics: Metrics
    stop: StopRequest
    measure: Callable[[], float | None]
    processes: Processes = ALONE


def train(model: Any, loop: Loop) -> int:
    """Trains from the last good checkpoint to the end.

    Returns:
        how many steps the adapter has been trained for.

    Raises:
        JobStopped: a stop was asked for; the checkpoint is written.
        JobFailed: the loss is no number any more, or rises without end; the last good checkpoint is kept.
    """
    loop.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = _last_good(loop)
    done = checkpoints.step_of(checkpoint) if checkpoint else 0
    arguments = _arguments(loop, on_cpu=model.device.type == "cpu")
    if loop.processes.is_first:
        loop.metrics.begin_after(done)
        events.send("plan", steps=arguments.max_steps, done=done)
    loop.processes.wait()
    watch = _Watch(loop)
    if checkpoint and watch.has_stalled():  # It was interrupted after its last step.
        load_adapter(model, checkpoint)
        return done
    trainer = Trainer(
        model=model, args=arguments, train_dataset=loop.data.blocks, data_collator=collate, callbacks=[watch]
    )
    trainer.remove_callback(PrinterCallback)  # Standard output is for events.
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.state.global_step < arguments.max_steps and watch.was_stopped:
        loop.stop.check(asked=True)
    return int(trainer.state.global_step)


def _last_good(loop: Loop) -> Path | None:
    """The checkpoint to go on from. One process clears away what is none, before the others look."""
    if loop.processes.is_first:
        checkpoints.last_good(loop.folder)
    loop.processes.wait()
    return checkpoints.last_good(loop.folder)


def _arguments(loop: Loop, *, on_cpu: bool) -> TrainingArguments:
    training = loop.training
    steps = len(loop.data.blocks) // (training.batch_size * training.gradient_accumulation)
    return TrainingArguments(
        output_dir=str(loop.folder),
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        # The blocks of one step are the same ones however many processes share them.
        gradient_accumulation_steps=training.gradient_accumulation // loop.processes.count,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=math.ceil(training.warmup * steps),
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_gradient_norm,
        optim="adamw_torch" if on_cpu else "paged_adamw_8bit",
        use_cpu=on_cpu,
        bf16=not on_cpu,
        # The model was prepared with the gradient checkpointing that it needs.
        gradient_checkpointing=False,
        # The blocks come shuffled by the recipe's seed, so that their order is the same everywhere.
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


class _Watch(TrainerCallback):
    """Writes figures, seals checkpoints, measures now and then, and stops when it is asked to."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._step_tokens = (
            loop.training.batch_size * loop.training.gradient_accumulation * loop.training.sequence_length
        )
        self._since = time.monotonic()
        self._divergence = Divergence()
        self._held_out: list[float] = []
        for row in read_metrics(loop.metrics.path):  # Those of an earlier attempt.
            if "loss" in row:
                self._divergence.add(row["loss"])
            if "held_out_loss" in row:
                self._held_out.append(row["held_out_loss"])
        self.was_stopped = False

    def has_stalled(self) -> bool:
        """Whether the recipe's patience is at its end."""
        return has_stalled(self._held_out, self._loop.training.early_stopping)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts the clock."""
        self._since = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Asks for a checkpoint and the end when a stop was asked for, of any of the processes."""
        if self._loop.processes.any(self._loop.stop.asked):
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
        """Writes the row of a step, and measures when it is time to."""
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
            )
            events.send("step", step=step, loss=logs["loss"], tokens_per_second=rate)
        if step % self._loop.training.evaluate_every == 0 and step < state.max_steps:
            self._measure(step, model, control)
        self._since = time.monotonic()

    def _check(self, step: int, loss: float, gradient_norm: float) -> None:
        # Before the checkpoint of this step is written: weights that a gradient of NaN has reached must
        # not be gone on from.
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            what = f"The loss is {loss} and the gradient's norm {gradient_norm} in step {step}"
        elif self._divergence.add(loss):
            what = f"The loss has risen without end, to {loss:.2f} nats per token in step {step}"
        else:
            return
        raise JobFailed(
            f"{what}: training has diverged.",
            where=str(self._loop.folder),
            fix="lower training.learning_rate or training.max_gradient_norm; "
            "the last good checkpoint is kept",
        )

    def _measure(self, step: int, model: Any, control: TrainerControl) -> None:
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
        """Seals the checkpoint that was just written, when all have written their part."""
        self._loop.processes.wait()
        if self._loop.processes.is_first:
            checkpoints.seal(self._loop.folder / f"checkpoint-{state.global_step}")
        self._loop.processes.wait()
