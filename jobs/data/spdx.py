"""Licenses as SPDX expressions: `MIT OR Apache-2.0`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

LONGEST_EXPRESSION = 200


@lru_cache(maxsize=4096)
def parse_license(expression: str) -> Any | None:
    """A tree of the library's own, or ``None`` for what is no expression."""
    if len(expression) > LONGEST_EXPRESSION:
        return None
    from license_expression import ExpressionError

    try:
        tree = licensing().parse(expression)
    except (ExpressionError, AttributeError, RecursionError, ValueError, TypeError):
        return None
    # The library takes a few words for one name: "MIT or so they say".
    if tree is None or any(
        " " in part for symbol in tree.symbols for part in symbol.render().split(" WITH ")
    ):
        return None
    return tree


@lru_cache(maxsize=1)
def licensing() -> Any:
    """The library's list of what SPDX knows."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def is_license(expression: str) -> bool:
    """Whether it is an SPDX expression of licenses that SPDX lists, or of a ``LicenseRef-`` of one's own."""
    tree = parse_license(expression)
    known = licensing().known_symbols
    return tree is not None and all(
        part in known or part.startswith("LicenseRef-")
        for symbol in tree.symbols
        for part in symbol.render().split(" WITH ")
    )
