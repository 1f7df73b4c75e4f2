"""The durations and warnings of a plan, which depend on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from starfreight.commands.plan_checks import machine_warnings
from starfreight.commands.plan_variant import VariantPlan
from starfreight.console import Console

if TYPE_CHECKING:
    from starfreight.jobs.planning.duration import Speed
    from starfreight.jobs.planning.run_checks import CheckedVariant


def durations(
    plans: Sequence[VariantPlan], checked: Sequence[CheckedVariant], console: Console, *, measure: bool
) -> list[VariantPlan]:
    """The plans with their durations and with warnings about this machine.

    Args:
        plans: of all variants.
        checked: the variants.
        console: shows progress.
        measure: measure training on this machine's processors for plans without a GPU.
    """
    from starfreight.jobs.planning.duration import duration_here, duration_on_gpu

    speeds = _Speeds(console)
    found = []
    for plan, variant in zip(plans, checked, strict=True):
        duration = duration_on_gpu(plan.training)
        if duration is None and measure and plan.training.gpu is None and plan.training.steps:
            speed = speeds.of(variant)
            if speed is not None:
                duration = duration_here(variant.recipe, plan.training, plan.look, speed)
        found.append(replace(plan, duration=duration, warnings=machine_warnings(plan, variant.recipe)))
    return found


class _Speeds:
    """Measures the first variant; the others' speed follows from the operations of a step.

    Args:
        console: shows progress.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._measured: tuple[Speed | None, float] | None = None

    def of(self, variant: CheckedVariant) -> Speed | None:
        """The speed of a variant; ``None`` if it cannot be measured here."""
        from starfreight.jobs.planning.duration import can_measure, measure_speed
        from starfreight.jobs.planning.throughput import operations_per_token

        base, training = variant.base_folder, variant.recipe.training
        if base is None or not can_measure(variant.recipe):
            return None
        tokens = training.batch_size * training.gradient_accumulation * training.sequence_length
        operations = tokens * operations_per_token(variant.shape, training)
        if self._measured is None:
            self._console.heading("Measuring a few steps of training on this machine")
            self._measured = measure_speed(variant.recipe, variant.shape, base), operations
        speed, of_first = self._measured
        return speed.scaled(operations / of_first) if speed is not None else None
