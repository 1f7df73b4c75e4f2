"""Dropout by position in the data, independent of the number of processes and of interruptions.

A step consists of ``gradient_accumulation`` micro-batches of ``batch_size`` blocks, shared out among the
processes. torch's generators are seeded before each micro-batch from the recipe's seed, the step and the
micro-batch's number in the step. So each micro-batch has its own dropout masks, the same in whichever process
and attempt it is computed: those of the adapter, of the base model's layers and of its attention.

The recomputation of gradient checkpointing restores the generators' state by itself
(``torch.utils.checkpoint``, ``preserve_rng_state``).
"""

from __future__ import annotations

import hashlib
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from starfreight.jobs.train.process_group import ProcessGroup


class DropoutSeeds(TrainerCallback):
    """Seeds torch's generators before each micro-batch of the Trainer.

    accelerate deals micro-batches out in turn: of P processes, number ``rank`` computes the micro-batches
    ``rank``, ``P + rank``, ``2 * P + rank`` and so on of each step.
    """

    def __init__(self, seed: int, processes: ProcessGroup) -> None:
        self._seed = seed
        self._processes = processes
        self._micro_batch = processes.rank

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Seed for this process's first micro-batch of a step."""
        self._micro_batch = self._processes.rank
        seed_micro_batch(self._seed, state.global_step, self._micro_batch)

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Seed for this process's next micro-batch of the step."""
        self._micro_batch += self._processes.count
        seed_micro_batch(self._seed, state.global_step, self._micro_batch)


def seed_micro_batch(seed: int, step: int, micro_batch: int) -> None:
    """Seed torch's generators, those of all devices among them.

    Args:
        seed: the recipe's seed.
        step: number of steps before this one.
        micro_batch: number of the micro-batch in its step, from 0, counted over all processes.
    """
    import torch

    digest = hashlib.sha256(f"dropout {seed} {step} {micro_batch}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8], "little"))
