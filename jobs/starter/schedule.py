"""The training schedule: the learning rate and the rows of each step.

The rate rises for a few steps, stays level, and falls to zero over the last part. Nothing before the fall
depends on the total number of steps, so a checkpoint of the level part serves a training of any length:
``--steps`` may change between two runs of the command, with the same result as one run from the start.

Rows are half a context long until the fall begins, and a whole context from then on: attention takes 40%
of the time at 1,024 tokens on a CPU and half of that at 512. The mix of examples changes at the same step,
from learning the language to learning to fill in.
"""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.jobs.starter.examples import BROAD, FOCUSED, Mix


@dataclass(frozen=True)
class Schedule:
    """The schedule of one training.

    Attributes:
        steps: total number of steps.
        batch_tokens: tokens in a step; a multiple of ``context_length``.
        context_length: maximum length of a row.
        warmup: steps over which the rate rises.
        fall: fraction of all steps over which the rate falls to zero.
    """

    steps: int
    batch_tokens: int
    context_length: int
    warmup: int = 40
    fall: float = 0.5

    @property
    def level_until(self) -> int:
        """The first step of the fall. Earlier steps do not depend on ``steps``."""
        return self.steps - max(1, round(self.steps * self.fall))

    def rate(self, step: int) -> float:
        """The learning rate of a step (from zero) as a fraction of the peak, in (0, 1]."""
        rising = min(1.0, (step + 1) / self.warmup)
        falling = min(1.0, (self.steps - step) / (self.steps - self.level_until))
        return rising * falling

    def row_length(self, step: int) -> int:
        """Length of the rows of a step, in tokens."""
        return self.context_length // 2 if step < self.level_until else self.context_length

    def mix(self, step: int) -> Mix:
        """The mix of examples in a step."""
        return BROAD if step < self.level_until else FOCUSED

    def rows_before(self, step: int) -> int:
        """Number of rows of this step's length read by earlier steps."""
        since = step if step < self.level_until else step - self.level_until
        return since * self.batch_rows(step)

    def batch_rows(self, step: int) -> int:
        """Number of rows in a step."""
        return self.batch_tokens // self.row_length(step)
