"""The license of each text, and whether it is one that the recipe allows.

What counts is, in this order: an ``SPDX-License-Identifier`` in the file, a license's notice at its head,
what the source says of it (the LICENSE file of its repository, a column of a dataset), what the recipe says
of the source. ``NOASSERTION`` says nothing; what has no license then is unknown, and is left out unless the
recipe lets in ``any``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.license_notices import HEAD, HEAD_LINES, stated_licenses
from starfreight.jobs.data.spdx import LONGEST_EXPRESSION, licensing, parse_license
from starfreight.recipe.data import Data

_SPDX = re.compile(r"SPDX-License-Identifier:[ \t]{0,20}([A-Za-z0-9.+() \t-]{1,220})")
_UNKNOWN = "NOASSERTION"


def license_of(text: str, said_of_it: str | None, data: Data) -> str | None:
    """The license of a text as an SPDX expression, or as it is written when it is no such expression.

    Args:
        text: the file's.
        said_of_it: what the source says of this file.
        data: the source, in the recipe.
    """
    for license in (_license_in(text), said_of_it, data.license):
        if license and license != _UNKNOWN:
            return _normal(license)
    return None


class LicenseFilter:
    """Leaves out what the allowed licenses do not cover, and what has none that is known."""

    name = "license"

    def __init__(self, data: Data) -> None:
        licenses = data.filters.licenses
        self._allowed: frozenset[str] | None = None
        if licenses != "any":
            # What the recipe says of the source, its user has already decided.
            own = () if data.license == _UNKNOWN else (data.license, *_identifiers(data.license))
            self._allowed = frozenset(
                name.lower() for item in (*licenses, *own) for name in (item, _normal(item))
            )

    def reject(self, document: Document) -> str | None:
        """The license that is not allowed, or that none is known."""
        if self._allowed is None:
            return None
        if document.license is None:
            return "license unknown"
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
    """An expression without what closes a comment after it."""
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
        return any(_covers(part, allowed) for part in tree.args)
    if isinstance(tree, licensing().AND):
        return all(_covers(part, allowed) for part in tree.args)
    # An exception adds permissions to its license and takes none away.
    license = getattr(tree, "license_symbol", None)
    return license is not None and str(license.render()).lower() in allowed
