"""SPDX license expressions: `MIT OR Apache-2.0`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

LONGEST_EXPRESSION = 200


@lru_cache(maxsize=4096)
def parse_license(expression: str) -> Any | None:
    """Return the parsed expression, as the library's tree, or ``None`` if it is invalid."""
    if len(expression) > LONGEST_EXPRESSION:
        return None
    tree = parse_with(licensing(), expression)
    # The library accepts several words as one name: "MIT or so they say".
    if tree is None or any(
        " " in part for symbol in tree.symbols for part in symbol.render().split(" WITH ")
    ):
        return None
    return tree


def parse_with(library: Any, expression: str, **options: Any) -> Any | None:
    """Return the tree of an expression; ``None`` if it is empty or invalid.

    Args:
        library: a ``license_expression.Licensing``.
        expression: of bounded length.
        options: of its method ``parse``.
    """
    from license_expression import ExpressionError

    try:
        return library.parse(expression, **options)
    # The parser has errors of its own, and fails on parentheses without contents: "()", "( AND MIT".
    except (
        ExpressionError,
        AssertionError,
        AttributeError,
        LookupError,
        RecursionError,
        ValueError,
        TypeError,
    ):
        return None


def has_listed_exception(symbol: Any) -> bool:
    """Return true for a license ``WITH`` an exception on the SPDX list.

    These only add permissions. Any other addition, such as ``Apache-2.0 WITH Commons-Clause``, may take some.

    Args:
        symbol: of a parsed expression.
    """
    exception = licensing().known_symbols.get(getattr(getattr(symbol, "exception_symbol", None), "key", None))
    return exception is not None and bool(exception.is_exception)


@lru_cache(maxsize=1)
def licensing() -> Any:
    """Return the library's list of SPDX licenses."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def is_license(expression: str) -> bool:
    """Return true for an SPDX expression of licenses on the SPDX list and custom ``LicenseRef-`` names."""
    tree = parse_license(expression)
    known = licensing().known_symbols
    return tree is not None and all(
        part in known or part.startswith("LicenseRef-")
        for symbol in tree.symbols
        for part in symbol.render().split(" WITH ")
    )
