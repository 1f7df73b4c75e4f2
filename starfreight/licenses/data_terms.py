"""Licenses of training data that bind the users of the model beside the base model's license.

    terms = data_terms(["MIT", "LicenseRef-Acme"], "Apache-2.0")
    joint_license("Apache-2.0", terms)  # Apache-2.0 AND LicenseRef-Acme

Permissive and copyleft licenses of data are the publisher's to judge: whether they bind a model is disputed.
A proprietary license is another matter. Nobody should take a model trained on it for one that is as free as
its base.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from starfreight.licenses.expression import UNKNOWN, evaluate, includes
from starfreight.licenses.registry import canonical_name, find_license, is_known
from starfreight.licenses.spdx import LONGEST_EXPRESSION, is_license

TRAINING_DATA = "LicenseRef-Training-Data"
"""Stands for all terms if they are too many for an expression."""

_BINDING_USES = ("restricted", "noncommercial", "no-permission", "no-derivatives", "forbidden")
_BINDING_CATEGORIES = ("Commercial", "Free Restricted", "Proprietary Free", "Source-available")
"""Of ScanCode's list of licenses, which license-expression brings."""
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9.-]+")
_LONGEST_NAME = 80


def data_terms(licenses: Iterable[str], base: str) -> tuple[str, ...]:
    """The licenses among those of the data that bind the model's users, as SPDX identifiers, sorted.

    They are custom licenses (``LicenseRef-...``), those known to restrict use or sharing, and ``NONE``.
    Unknown licenses (``NOASSERTION``) are left out: there is nothing to name.

    Args:
        licenses: SPDX expressions or other names; ``OR`` is read as the freer choice.
        base: license of the base model, whose own terms are not repeated.
    """
    found: dict[str, str] = {}
    for expression in licenses:
        for name in evaluate(expression, _terms, _joined, _fewest):
            identifier = _identifier(name)
            if not includes(base, identifier):
                found.setdefault(identifier.casefold(), identifier)
    terms = tuple(found[key] for key in sorted(found))
    return terms if len(joint_license(base, terms)) <= LONGEST_EXPRESSION else (TRAINING_DATA,)


def joint_license(base: str, terms: Sequence[str]) -> str:
    """The license of a model: its base's, and these terms."""
    return " AND ".join(filter(None, (in_conjunction(base) if terms else base, *terms)))


def in_conjunction(license: str) -> str:
    """A license as part of an expression with ``AND``."""
    depth = 0
    for word in re.findall(r"[()]|[^\s()]+", license):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0 and word.upper() == "OR":
            return f"({license})"
    return license


def _terms(name: str) -> tuple[str, ...]:
    return (name,) if _binds(name) else ()


def _binds(name: str) -> bool:
    if canonical_name(name) in (UNKNOWN, ""):
        return False
    if is_known(name):
        return find_license(name).training in _BINDING_USES
    category = _categories().get(name.casefold())
    return category in _BINDING_CATEGORIES if category is not None else True


def _identifier(name: str) -> str:
    if is_known(name):
        name = canonical_name(name)
    if is_license(name):
        return name
    if name.casefold().startswith("licenseref-"):
        name = name[len("licenseref-") :]
    return f"LicenseRef-{_NOT_IN_NAME.sub('-', name).strip('-.')[:_LONGEST_NAME] or 'unnamed'}"


@lru_cache(maxsize=1)
def _categories() -> dict[str, str]:
    """ScanCode's category by the identifier of a license on SPDX's list or its own, in lower case."""
    from license_expression import get_license_index

    found: dict[str, str] = {}
    for each in get_license_index():
        names = [each.get("spdx_license_key"), *each.get("other_spdx_license_keys", ())]
        found |= {str(name).casefold(): str(each.get("category")) for name in names if name}
    return found


def _joined(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part))


def _fewest(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return min(parts, key=len)
