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

from jobs import events
from jobs.data.blocks import TrainingData
from jobs.train import checkpoints
from jobs.train.batches import collate
from jobs.train.metrics import Metrics
from jobs.train.stopping import StopRequest
from starfreight.errors import JobFailed
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
    """

    data: TrainingData
    training: Training
    folder: Path
    metrics: Metrics
    stop: StopRequest
    measure: Callable[[], float | None]


def train(model: Any, loop: Loop) -> int:
    """Trains from the last good checkpoint to the end.

    Returns:
        how many steps the adapter has been trained for.

    Raises:
        JobStopped: a stop was asked for; the checkpoint is written.
        JobFailed: the loss is no number any more; the last good checkpoint is kept.
    """
    loop.folder.mkdir(parents=True, exist_ok=True)
    checkpoint = checkpoints.last_good(loop.folder)
    done = checkpoints.step_of(checkpoint) if checkpoint else 0
    arguments = _arguments(loop, on_cpu=model.device.type == "cpu")
    loop.metrics.begin_after(done)
    events.send("plan", steps=arguments.max_steps, done=done)
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=loop.data.blocks,
        data_collator=collate,
        callbacks=[_Watch(loop)],
    )
    trainer.remove_callback(PrinterCallback)  # Standard output is for events.
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.state.global_step < arguments.max_steps:
        loop.stop.check()
    return int(trainer.state.global_step)


def _arguments(loop: Loop, *, on_cpu: bool) -> TrainingArguments:
    training = loop.training
    steps = len(loop.data.blocks) // (training.batch_size * training.gradient_accumulation)
    return TrainingArguments(
        output_dir=str(loop.folder),
        max_steps=steps,
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.gradient_accumulation,
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

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts the clock."""
        self._since = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Asks for a checkpoint and the end when a stop was asked for."""
        if self._loop.stop.asked:
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Writes the row of a step."""
        if logs is None or "loss" not in logs:
            return
        step, now = state.global_step, time.monotonic()
        # Before the checkpoint of this step is written: weights that a gradient of NaN has reached must
        # not be gone on from.
        gradient_norm = float(logs.get("grad_norm", 0.0))
        if not (math.isfinite(logs["loss"]) and math.isfinite(gradient_norm)):
            raise JobFailed(
                f"The loss is {logs['loss']} and the gradient's norm {gradient_norm} in step {step}: "
                "training has diverged.",
                where=str(self._loop.folder),
                fix="lower training.learning_rate or training.max_gradient_norm; "
                "the last good checkpoint is kept",
            )
        seconds = max(now - self._since, 1e-9)
        self._since = now
        rate = self._step_tokens / seconds
        self._loop.metrics.add(
            step,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            gradient_norm=gradient_norm,
            tokens=step * self._step_tokens,
            tokens_per_second=rate,
        )
        events.send("step", step=step, loss=logs["loss"], tokens_per_second=rate)
        if step % self._loop.training.evaluate_every == 0 and step < state.max_steps:
            held_out = self._loop.measure()
            if held_out is not None:
                self._loop.metrics.add(step, held_out_loss=held_out)
            self._since = time.monotonic()

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Seals the checkpoint that was just written."""
        checkpoints.seal(self._loop.folder / f"checkpoint-{state.global_step}")
