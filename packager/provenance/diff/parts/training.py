"""The training: its run, its machine and its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.diff.values import values_section
from starfreight.recipe.flat import flat_keys


class TrainingPart:
    """Run, machine, outcome, seeds, images, invoker, adapter, and the loss of the finished file."""

    name = "training"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        return values_section(_facts(before), _facts(after))


def _facts(side: Side) -> dict[str, Any]:
    facts: dict[str, Any] = {"run": side.package.run, "ended": side.package.created}
    recorded = side.provenance
    if recorded is None:
        return facts
    if isinstance(recorded.machine, Mapping):
        facts |= {f"machine {key}": value for key, value in recorded.machine.items()}
    facts |= flat_keys(dict(recorded.training or {}))
    facts |= {f"seed {name}": seed for name, seed in recorded.seeds.items()}
    facts |= {f"image {name}": digest for name, digest in recorded.images.items()}
    if (commit := recorded.source_commit) is not None:
        facts["recipe's commit"] = commit.commit + (" with changes" if commit.dirty else "")
    facts |= {f"invoker {key}": value for key, value in (recorded.invoker or {}).items()}
    facts |= recorded.adapter
    facts["importance matrix"] = recorded.imatrix
    checked = recorded.loss_check or {}
    return facts | {f"loss check {key}": value for key, value in checked.items() if key != "file"}
