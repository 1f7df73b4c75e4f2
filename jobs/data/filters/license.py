"""The license of each text, compared with the licenses allowed by the recipe.

The first of these that states a license counts: an ``SPDX-License-Identifier`` in the file, a license notice
at its head, the license given by the source (the LICENSE file of its repository, a column of a dataset), the
license given by the recipe for the source. ``NOASSERTION`` states nothing. A text without a license is left
out unless the recipe allows ``any``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.license_notices import HEAD, HEAD_LINES, stated_licenses
from starfreight.licenses.expression import choices
from starfreight.licenses.spdx import LONGEST_EXPRESSION, has_listed_exception, licensing, parse_license
from starfreight.recipe.data import Data

_SPDX = re.compile(r"SPDX-License-Identifier:[ \t]{0,20}([A-Za-z0-9.+() \t-]{1,220})")
_UNKNOWN = "NOASSERTION"
UNKNOWN_LICENSE = "license unknown"
"""The reason for leaving out a text without a license."""


def license_of(text: str, stated_by_source: str | None, data: Data) -> str | None:
    """Return the license of a text as an SPDX expression, or as written if it is not one.

    Args:
        text: of the file.
        stated_by_source: the source's license for this file.
        data: the source, in the recipe.
    """
    for license in (_license_in(text), stated_by_source, data.license):
        if license and license.strip() and license != _UNKNOWN:
            return _normal(license)
    return None


class LicenseFilter:
    """Rejects texts whose license is not allowed or unknown."""

    name = "license"

    def __init__(self, data: Data) -> None:
        licenses = data.filters.licenses
        self._allowed: frozenset[str] | None = None
        if licenses != "any":
            # The license that the recipe gives for the source is the user's own decision.
            own = () if data.license == _UNKNOWN else (data.license, *_identifiers(data.license))
            self._allowed = frozenset(
                name.lower() for item in (*licenses, *own) for name in (item, _normal(item))
            )

    def reject(self, document: Document) -> str | None:
        """Return the disallowed license, or ``license unknown``."""
        if self._allowed is None:
            return None
        if document.license is None:
            return UNKNOWN_LICENSE
        if _is_allowed(document.license, self._allowed):
            return None
        return f"license {document.license[:LONGEST_EXPRESSION]}"


def _license_in(text: str) -> str | None:
    head = "\n".join(text[:HEAD].split("\n", HEAD_LINES)[:HEAD_LINES])
    stated = sorted({_clean(match.group(1)) for match in _SPDX.finditer(head)} - {""})
    stated = stated or list(stated_licenses(head))
    if len(stated) < 2:
        return stated[0] if stated else None
    return " AND ".join(f"({license})" if " " in license else license for license in stated)


def _clean(expression: str) -> str:
    """Remove the end of a comment from an expression."""
    expression = expression.strip(" \t-")
    while expression.endswith(")") and expression.count(")") > expression.count("("):
        expression = expression[:-1].rstrip()
    return expression


def _normal(expression: str) -> str:
    tree = parse_license(expression)
    return expression if tree is None else str(tree.render())


def _identifiers(expression: str) -> tuple[str, ...]:
    tree = parse_license(expression)
    return () if tree is None else tuple(symbol.render() for symbol in tree.symbols)


@lru_cache(maxsize=4096)
def _is_allowed(expression: str, allowed: frozenset[str]) -> bool:
    tree = parse_license(expression)
    return expression.lower() in allowed or (tree is not None and _covers(tree, allowed))


def _covers(tree: Any, allowed: frozenset[str]) -> bool:
    if str(tree.render()).lower() in allowed:
        return True
    if isinstance(tree, licensing().OR):
        return any(_covers(part, allowed) for part in choices(tree))
    if isinstance(tree, licensing().AND):
        return all(_covers(part, allowed) for part in tree.args)
    return has_listed_exception(tree) and str(tree.license_symbol.render()).lower() in allowed
