"""oras, imported without a parser that it never uses.

oras imports jsonschema, and that imports rfc3987_syntax where it is installed, as it is with Jupyter: it
builds a parser of addresses in three seconds of CPU, twice as long as all the rest of a command. jsonschema
does without one that cannot be imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SLOW = "rfc3987_syntax"


@contextmanager
def _as_if_missing(name: str) -> Iterator[None]:
    if name in sys.modules:
        yield
        return
    modules: dict[str, Any] = sys.modules
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]


with _as_if_missing(_SLOW):
    import oras.container
    import oras.provider

__all__ = ["oras"]
