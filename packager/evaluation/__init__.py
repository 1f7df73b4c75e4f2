"""Evaluations of a package: attached to its files, shown in its card, checked by its quality gate.

attach(Path("packages/acme-coder"), Path("runs/acme-coder-q4_K_M-eval-89abcdef01"), console)
verdict = set_rules(Path("packages/acme-coder"), recipe.package.quality, console)
"""

from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.packager.evaluation.gate import check_gate, check_package
from starfreight.packager.evaluation.quality import Verdict, check_quality
from starfreight.packager.evaluation.references import reference_model

__all__ = [
    "Verdict",
    "attach",
    "check_gate",
    "check_package",
    "check_quality",
    "reference_model",
    "set_rules",
]
