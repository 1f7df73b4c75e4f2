"""``licenses``: those of the model and of its training data are among the allowed ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from starfreight.licenses.expression import choices
from starfreight.licenses.spdx import parse_license
from starfreight.packager.provenance.policy.policy import Policy
from starfreight.packager.provenance.policy.sections.interface import passed, refused
from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.pages.visible_text import shortened, visible

_MODEL_FIX = "use a package under an allowed license, or add the license to the policy"
_DATA_FIX = "train without this data (filters.licenses of its source), or add the license to the policy"
_SHOWN = 5
_MOST = 10_000


class LicensesSection:
    """Allowed SPDX ids, against expressions."""

    def findings(self, policy: Policy, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Section.findings`."""
        rules = policy.file.licenses
        if rules is None:
            return
        if rules.model is not None:
            names = [each.name for each in examined.package.licenses]
            wrong = [name for name in names if not is_allowed(name, rules.model)]
            key = "licenses.model"
            if wrong or not names:
                listed = f"has the license {_listed(wrong)}" if wrong else "has no license"
                yield refused(policy, key, f"The model {listed}, which is not allowed.", _MODEL_FIX)
            else:
                yield passed(key, f"The licenses of the model are allowed: {_listed(names)}.")
        if rules.data is not None:
            yield from _data(policy, examined, rules.data)


def _data(policy: Policy, examined: Examined, allowed: tuple[str, ...]) -> Iterator[Finding]:
    key, found = "licenses.data", _data_licenses(examined)
    if not found:
        what = "The licenses of the training data are unknown: the package does not name them."
        yield refused(policy, key, what, "build the package again with this version of Starfreight")
        return
    wrong = {name: count for name, count in found.items() if not is_allowed(name, allowed)}
    if wrong:
        samples = sum(wrong.values())
        are = "sample of the training data is" if samples == 1 else "samples of the training data are"
        what = f"{samples:,} {are} under a license that is not allowed: {_listed(list(wrong))}."
        yield refused(policy, key, what, _DATA_FIX)
    else:
        yield passed(key, f"The licenses of the training data are allowed: {_listed(list(found))}.")


def _data_licenses(examined: Examined) -> Mapping[str, int]:
    """Samples by license: of the entries of the data manifest, or without one of the statement."""
    found: dict[str, int] = {}
    if examined.data is not None:
        for number in range(len(examined.data.sources)):
            for entry in examined.data.kept(number):
                name = entry.license or "NOASSERTION"
                # Licenses of hostile manifests are as many as their samples.
                name = name if name in found or len(found) < _MOST else "(others)"
                found[name] = found.get(name, 0) + 1
    elif examined.provenance is not None:
        for claim in examined.provenance.sources:
            for name, (samples, _) in claim.licenses.items():
                found[name] = found.get(name, 0) + samples
    return found


def is_allowed(expression: str, allowed: tuple[str, ...]) -> bool:
    """True if a license expression can be met with allowed licenses alone.

    Args:
        expression: SPDX, or any other text, which is compared as it is.
        allowed: SPDX ids, with exceptions if any (``GPL-2.0-only WITH Classpath-exception-2.0``).
    """
    if expression in allowed:
        return True
    tree = parse_license(expression)
    return tree is not None and _holds(tree, {name.casefold() for name in allowed})


def _holds(tree: object, allowed: set[str]) -> bool:
    from license_expression import AND, OR, LicenseSymbol, LicenseWithExceptionSymbol

    if isinstance(tree, LicenseWithExceptionSymbol | LicenseSymbol):
        return tree.render().casefold() in allowed
    if isinstance(tree, OR):
        return any(_holds(each, allowed) for each in choices(tree))
    return isinstance(tree, AND) and all(_holds(each, allowed) for each in tree.args)


def _listed(names: list[str]) -> str:
    shown = ", ".join(shortened(visible(name), 100) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
