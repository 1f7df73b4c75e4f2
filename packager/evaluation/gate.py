"""Refuse a package that misses a rule of its quality gate, or was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starfreight.errors import GateError
from starfreight.package import Package
from starfreight.package_evaluations import read_evaluations
from starfreight.packager.evaluation.quality import Verdict, check_quality
from starfreight.packager.evaluation.recorded_verdict import recorded_conditions, recorded_rules
from starfreight.quantization import Quantization
from starfreight.recipe.evaluate import QualityRule


def check_package(
    folder: Path,
    package: Package | None = None,
    rules: Sequence[QualityRule] | None = None,
    default: Quantization | None = None,
) -> Verdict | None:
    """Check a package against its rules, from the figures attached to it.

    Args:
        folder: the package's directory.
        package: its record, if it is loaded.
        rules: by default those recorded in the package.
        default: the variant that has to be measured; the package's default one by default.

    Returns:
        ``None`` if there are no rules.

    Raises:
        InputError: no package there.
        GateError: values of items are damaged.
    """
    package = package or Package.load(folder)
    chosen = recorded_rules(folder, package) if rules is None else tuple(rules)
    if not chosen:
        return None
    evaluations = read_evaluations(folder, package)
    conditions = recorded_conditions(folder, package)
    return check_quality(
        chosen, package, evaluations, lambda each: each.load_scores(folder), default, conditions
    )


def check_gate(
    folder: Path, package: Package | None = None, *, default: Quantization | None = None
) -> Verdict | None:
    """Refuse a package that misses one of its rules. Arguments as for :func:`check_package`.

    Returns:
        The verdict; ``None`` if there are no rules.

    Raises:
        GateError: a rule is missed, or was not measured.
    """
    verdict = check_package(folder, package, default=default)
    if verdict is None or verdict.result != "FAILED":
        return verdict
    missed = [each for each in verdict.outcomes if each.result == "FAILED"]
    unmeasured = all(not each.measured for each in missed)
    listed = "; ".join(f"{each.name}: {each.reason}" for each in missed[:5])
    more = f"; and {len(missed) - 5} more" if len(missed) > 5 else ""
    does = "was not measured for" if unmeasured else "misses"
    raise GateError(
        f"The package {does} its quality rules: {listed}{more}.",
        where=f"{folder}, package.quality",
        fix="evaluate it: starfreight jobs evaluate PACKAGE with the suites of these rules, and the "
        "reference models with --baseline; or add them to evaluate in the recipe, and run it again"
        if unmeasured
        else "train or quantise it better, leave the quantization out of package.quantizations, or change "
        "package.quality in the recipe; then run the recipe again",
    )
