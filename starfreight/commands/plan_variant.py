"""Plan for one variant of a recipe, as JSON and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import human_count

if TYPE_CHECKING:
    from starfreight.jobs.planning import TrainingPlan
    from starfreight.jobs.planning.data_look import DataLook
    from starfreight.jobs.planning.duration import Duration
    from starfreight.jobs.planning.gpus import Gpu
    from starfreight.jobs.planning.run_checks import CheckedVariant
    from starfreight.packager.build.package_plan import PackagePlan
    from starfreight.packager.provenance.duties import DutyReport


@dataclass(frozen=True)
class VariantPlan:
    """Cost of one variant.

    Attributes:
        name: name of the variant.
        base: the base model, as written in the recipe.
        training: cost of training.
        package: cost of the package.
        duties: of the licenses of base model and data.
        publishes: true if the recipe publishes the package.
        look: at the data that are here.
        not_checked: checks of a run that need something that is not here.
        base_is_here: true if the base model needs no more disk.
        warnings: about this machine.
        duration: of training; ``None`` if it is unknown.
        steps_are_given: true if the recipe has their number.
    """

    name: str
    base: str
    training: TrainingPlan
    package: PackagePlan
    duties: DutyReport
    publishes: bool
    look: DataLook
    not_checked: tuple[str, ...]
    base_is_here: bool = False
    warnings: tuple[str, ...] = ()
    duration: Duration | None = None
    steps_are_given: bool = False

    @property
    def tokens_are_estimated(self) -> bool:
        """True if the number of steps follows from a sample of the data."""
        counted = self.look.tokens
        return counted is not None and counted.about and not self.steps_are_given

    @property
    def disk(self) -> dict[str, int]:
        """Bytes on disk by purpose, with their ``total``."""
        training = self.training.disk
        return {
            **asdict(training),
            "package": self.package.total,
            "total": training.total + self.package.total,
        }

    def as_dict(self) -> dict[str, Any]:
        """The plan for ``--json``."""
        training, package = self.training, self.package
        memory, gpu, fits = training.gpu_memory, training.gpu, training.largest_batch
        return {
            "name": self.name,
            "base": {"model": self.base, "parameters": training.shape.parameters},
            "context_length": training.shape.context_length,
            "sliding_window": training.shape.sliding_window,
            "adapter_parameters": training.adapter_parameters,
            "learning_rate": training.learning_rate,
            "gpu_memory": {**asdict(memory), "total": memory.total},
            "gpu": {"name": gpu.name, "memory": gpu.memory} if gpu else None,
            "largest_batch": asdict(fits) if fits else None,
            "tokens": training.tokens,
            "tokens_per_second": training.tokens_per_second,
            "seconds": training.seconds,
            "steps": training.steps,
            "duration": self.duration.as_dict() if self.duration else None,
            "data_tokens": self.look.tokens.as_dict() if self.look.tokens else None,
            "files": dict(package.files),
            "disk": self.disk,
            "license": {
                "name": package.license and self.duties.license,
                "duty": next((each.how for each in self.duties.unmet), None),
                **self.duties.as_dict(),
            },
            "notes": list(package.notes),
            "data": [source.as_dict() for source in self.look.sources],
            "data_warnings": list(self.look.warnings),
            "warnings": list(self.warnings),
            "not_checked": list(self.not_checked),
        }


def plan_variant(
    checked: CheckedVariant, gpu: Gpu | None, folder: Path, not_checked: tuple[str, ...] = ()
) -> VariantPlan:
    """Compute the cost of one variant.

    Args:
        checked: a variant that a run accepts.
        gpu: the GPU to fit the training in; default: ``run.gpu_memory``.
        folder: the directory where the recipe's relative paths start.
        not_checked: further checks that were not made.

    Raises:
        InputError: ``publish.reference`` is not a valid reference.
    """
    from starfreight.jobs.planning import plan_training
    from starfreight.packager.build.package_plan import plan_package
    from starfreight.packager.provenance.duties import planned_duties

    recipe = checked.recipe
    counted = checked.look.tokens
    training = plan_training(recipe, checked.shape, gpu, counted.blocks if counted else None)
    package = plan_package(recipe, training.shape, training.adapter_parameters)
    return VariantPlan(
        name=recipe.name,
        base=recipe.base.model,
        training=training,
        package=package,
        duties=planned_duties(recipe, folder, checked.base_folder, checked.data_licenses),
        publishes=recipe.publish is not None,
        look=checked.look,
        not_checked=(*checked.not_checked, *not_checked),
        base_is_here=checked.base_folder is not None,
        steps_are_given=recipe.training.steps is not None,
    )


def variant_text(plan: VariantPlan, *, with_data: bool = True) -> str:
    """The plan for people, ``with_data`` unless the data were shown before."""
    training, package, disk = plan.training, plan.package, plan.disk
    memory, gpu, fits = training.gpu_memory, training.gpu, training.largest_batch
    lines = [
        f"{plan.name}: {plan.base}, {training.shape.parameters:,} parameters, "
        f"adapter of {training.adapter_parameters:,}",
        *_window(training.shape.sliding_window),
        f"  GPU memory for training {_size(memory.total)}   (computed, not measured on a GPU)",
        *_parts(asdict(memory)),
    ]
    if gpu is not None:
        lines.append(f"  {gpu.name:23} {_size(gpu.memory)}")
        lines.append(
            "    not even one block of training.sequence_length tokens fits"
            if fits is None
            else f"    largest batch: {fits.batch_size}, with gradient_accumulation "
            f"{fits.gradient_accumulation}: {_size(fits.gpu_memory).strip()}"
        )
    lines += ["  time", *_time(plan), f"  disk                    {_size(disk['total'])}"]
    lines += [*_parts(disk), "  files to ship", *_parts(package.files)]
    lines.append(f"  license  {(package.license and plan.duties.license) or 'unknown; set base.license'}")
    lines += [f"    {line}" for line in plan.duties.as_lines()]
    lines += [f"  note: {note}" for note in package.notes]
    if with_data:
        lines += ["  data", *(f"    {source.as_text()}" for source in plan.look.sources)]
        lines += [f"    warning: {warning}" for warning in plan.look.warnings]
    lines += [f"  warning: {each}" for each in plan.warnings]
    lines += [f"  not checked: {each}" for each in plan.not_checked]
    return "\n".join(lines)


def _window(tokens: int | None) -> list[str]:
    if tokens is None:
        return []
    return [f"  attention window        {tokens:,} tokens; llama.cpp ignores it, so num_ctx defaults to it"]


def _time(plan: VariantPlan) -> list[str]:
    training, counted, duration = plan.training, plan.look.tokens, plan.duration
    lines = []
    if counted is not None:
        about = "about " if counted.about else ""
        blocks = human_count(counted.blocks, "blocks")
        lines.append(f"    {about}{counted.tokens:,} tokens in the data, {blocks} a pass")
    if training.tokens is None:
        lines.append("    number of tokens: set by the data, which are not here yet")
    else:
        about = "about " if plan.tokens_are_estimated else ""
        steps = human_count(training.steps or 0, "steps")
        lines.append(f"    {about}{training.tokens:,} tokens to train on, in {steps}")
    if training.tokens_per_second is not None:
        lines.append(f"    about {training.tokens_per_second:,.0f} tokens/s")
    if duration is not None:
        lines.append(f"    training: {duration.as_text()}")
    elif training.gpu is None:
        lines.append("    add --gpu NAME for an estimate")
    return lines


def _parts(amounts: Mapping[str, int]) -> list[str]:
    return [
        f"    {name:21} {_size(amount)}" for name, amount in amounts.items() if name != "total" and amount
    ]


def _size(amount: int) -> str:
    return f"{human_count(amount, 'B'):>10}"
