"""Licenses as CycloneDX names them: an SPDX identifier, an SPDX expression, or a name.

Part of form 1: the list of identifiers is that of SPDX 3.28.0, for ever. A later list would turn a name in
the bill of materials of an earlier package into an identifier.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any

from starfreight.licenses.spdx import parse_with
from starfreight.packager.bom.values import line

_LONGEST_EXPRESSION = 200
_UNKNOWN = ("", "NOASSERTION", "UNKNOWN")


def license_choices(names: Iterable[str]) -> list[dict[str, Any]]:
    """The licenses of a component, each once; unknown ones are left out."""
    found = dict.fromkeys(line(name) for name in names)
    return [license_choice(name) for name in found if name.upper() not in _UNKNOWN]


def license_choice(name: str) -> dict[str, Any]:
    """A license of a component.

    Args:
        name: an identifier or expression of SPDX, or any other name.
    """
    if name in _identifiers():
        return {"license": {"id": name}}
    if _is_expression(name):
        return {"expression": name}
    return {"license": {"name": name}}


def _is_expression(text: str) -> bool:
    """True for several licenses of SPDX's list, or ``LicenseRef-`` names, joined by operators."""
    if len(text) > _LONGEST_EXPRESSION or " " not in text:
        return False
    from license_expression import Licensing

    tree = parse_with(Licensing(), text, simple=True)
    parts = (
        [part for symbol in tree.symbols for part in symbol.render().split(" WITH ")]
        if tree is not None
        else []
    )
    return bool(parts) and all(
        part in _identifiers() or part.removesuffix("+") in _identifiers() or _is_custom(part)
        for part in parts
    )


def _is_custom(part: str) -> bool:
    name = part.removeprefix("LicenseRef-")
    return name != part and name.replace("-", "").replace(".", "").isalnum() and name.isascii()


@lru_cache(maxsize=1)
def _identifiers() -> frozenset[str]:
    listed = files("starfreight.packager.bom").joinpath("spdx-3.28.0.txt")
    return frozenset(listed.read_text(encoding="utf-8").split())
