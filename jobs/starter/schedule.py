"""What is done at each step: the learning rate and which rows are read.

The rate rises for a few steps, stays, and falls to zero over the last part. Nothing before the fall
depends on how many steps there will be, so that a checkpoint of the level part serves any longer or
shorter training: ``--steps`` may be changed between two runs of the command and the result is still what
one run from the start would have given.

Rows are half a context long until the fall begins and a whole context from there on. Attention takes 40%
of the time at 1,024 tokens on a CPU and half of that at 512. With the length, the mix of examples changes
from one to learn the language to one to learn to fill in.
"""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.jobs.starter.examples import BROAD, FOCUSED, Mix


@dataclass(frozen=True)
class Schedule:
    """The course of one training.

    Attributes:
        steps: how many there are in all.
        batch_tokens: tokens in a step; a multiple of ``context_length``.
        context_length: the longest row.
        warmup: steps over which the rate rises.
        fall: the part of all steps over which the rate falls to zero.
    """

    steps: int
    batch_tokens: int
    context_length: int
    warmup: int = 40
    fall: float = 0.5

    @property
    def level_until(self) -> int:
        """The first step of the fall. Steps before it are the same whatever ``steps`` is."""
        return self.steps - max(1, round(self.steps * self.fall))

    def rate(self, step: int) -> float:
        """The learning rate of a step (from zero) as a part of the highest, in (0, 1]."""
        rising = min(1.0, (step + 1) / self.warmup)
        falling = min(1.0, (self.steps - step) / (self.steps - self.level_until))
        return rising * falling

    def row_length(self, step: int) -> int:
        """How long the rows of a step are, in tokens."""
        return self.context_length // 2 if step < self.level_until else self.context_length

    def mix(self, step: int) -> Mix:
        """The kinds of examples that a step reads."""
        return BROAD if step < self.level_until else FOCUSED

    def rows_before(self, step: int) -> int:
        """How many rows of this step's length the steps before it have read."""
        since = step if step < self.level_until else step - self.level_until
        return since * self.batch_rows(step)

    def batch_rows(self, step: int) -> int:
        """How many rows a step reads."""
        return self.batch_tokens // self.row_length(step)
