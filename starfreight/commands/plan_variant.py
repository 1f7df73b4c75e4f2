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
    """

    name: str
    base: str
    training: TrainingPlan
    package: PackagePlan
    duties: DutyReport
    publishes: bool
    look: DataLook
    not_checked: tuple[str, ...]

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
            "files": dict(package.files),
            "disk": self.disk,
            "license": {
                "name": package.license,
                "duty": next((each.how for each in self.duties.unmet), None),
                **self.duties.as_dict(),
            },
            "notes": list(package.notes),
            "data": [source.as_dict() for source in self.look.sources],
            "data_warnings": list(self.look.warnings),
            "not_checked": list(self.not_checked),
        }


def plan_variant(checked: CheckedVariant, gpu: Gpu | None, folder: Path) -> VariantPlan:
    """Compute the cost of one variant.

    Args:
        checked: a variant that a run accepts.
        gpu: the GPU to fit the training in; default: ``run.gpu_memory``.
        folder: the directory where the recipe's relative paths start.

    Raises:
        InputError: ``publish.reference`` is not a valid reference.
    """
    from starfreight.jobs.planning import plan_training
    from starfreight.packager.build.package_plan import plan_package
    from starfreight.packager.provenance.duties import planned_duties

    recipe = checked.recipe
    training = plan_training(recipe, checked.shape, gpu)
    package = plan_package(recipe, training.shape, training.adapter_parameters)
    return VariantPlan(
        name=recipe.name,
        base=recipe.base.model,
        training=training,
        package=package,
        duties=planned_duties(recipe, folder, checked.base_folder, checked.data_licenses),
        publishes=recipe.publish is not None,
        look=checked.look,
        not_checked=checked.not_checked,
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
    lines += ["  time", *_time(training), f"  disk                    {_size(disk['total'])}"]
    lines += [*_parts(disk), "  files to ship", *_parts(package.files)]
    lines.append(f"  license  {package.license or 'unknown; set base.license'}")
    lines += [f"    {line}" for line in plan.duties.as_lines()]
    lines += [f"  note: {note}" for note in package.notes]
    if with_data:
        lines += ["  data", *(f"    {source.as_text()}" for source in plan.look.sources)]
        lines += [f"    warning: {warning}" for warning in plan.look.warnings]
    lines += [f"  not checked: {each}" for each in plan.not_checked]
    return "\n".join(lines)


def _window(tokens: int | None) -> list[str]:
    if tokens is None:
        return []
    return [f"  attention window        {tokens:,} tokens; llama.cpp ignores it, so num_ctx defaults to it"]


def _time(training: TrainingPlan) -> list[str]:
    tokens, rate, seconds = training.tokens, training.tokens_per_second, training.seconds
    lines = [f"    {tokens:,} tokens to train on" if tokens else "    number of tokens: set by the data"]
    if rate is None:
        lines.append("    add --gpu NAME for an estimate")
    else:
        whole = f", {_duration(seconds)} in total" if seconds else ""
        lines.append(f"    about {rate:,.0f} tokens/s{whole}   (assuming 35% of the GPU's peak)")
    return lines


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 2 * 3600 else f"{seconds / 3600:,.1f} hours"


def _parts(amounts: Mapping[str, int]) -> list[str]:
    return [
        f"    {name:21} {_size(amount)}" for name, amount in amounts.items() if name != "total" and amount
    ]


def _size(amount: int) -> str:
    return f"{human_count(amount, 'B'):>10}"
