"""``starfreight run --choose best``: the variant and the quantization to publish under the plain tag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.choose_model import Choice, choose_best, package_candidates
from starfreight.errors import InputError
from starfreight.quantization import Quantization


@dataclass(frozen=True)
class ChosenRelease:
    """The chosen file.

    Attributes:
        package: directory of its package.
        quantization: the file in it, for the plain tag.
        choice: with its reason.
        left_out: names of the variants that miss ``package.quality``, while others do not.
    """

    package: Path
    quantization: Quantization
    choice: Choice
    left_out: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The choice as ``--json`` prints it."""
        return {
            **self.choice.as_dict(),
            "package": str(self.package),
            "quantization": str(self.quantization),
            "left_out": list(self.left_out),
        }

    def as_text(self) -> str:
        """The choice for people."""
        text = f"Chosen by {self.choice.by}: {self.choice.reason}"
        if self.left_out:
            text += f"\nLeft out, because package.quality refuses them: {', '.join(self.left_out)}"
        return text


def choose_release(packages: Sequence[tuple[str, Path]], by: str | None = None) -> ChosenRelease:
    """Choose among the evaluated quantizations of all packages of a recipe.

    Packages that miss the recipe's ``package.quality`` are left out, unless all do: publishing then refuses.

    Args:
        packages: name and directory of each variant's package.
        by: the figure, as for :func:`~starfreight.choose_model.choose_best`.

    Raises:
        InputError: nothing is evaluated, or not by the same figure on the same problems.
    """
    from starfreight.packager.evaluation.gate import check_package

    verdicts = {name: check_package(folder) for name, folder in packages}
    refused = {name for name, verdict in verdicts.items() if verdict and verdict.result == "FAILED"}
    left_out = tuple(refused) if len(refused) < len(packages) else ()
    candidates, owners = [], []
    for name, folder in packages:
        if name in left_out:
            continue
        for each in package_candidates(folder, name if len(packages) > 1 else ""):
            candidates.append(each)
            owners.append((folder, Quantization(each.note)))
    if not candidates:
        raise InputError(
            "No package is evaluated, so none can be chosen.",
            where=", ".join(str(folder) for _, folder in packages)[:500],
            fix="add evaluate to the recipe, with quantizations: all",
        )
    choice = choose_best(candidates, by)
    at = next(number for number, each in enumerate(candidates) if each.name == choice.name)
    return ChosenRelease(*owners[at], choice, tuple(sorted(left_out)))
