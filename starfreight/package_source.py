"""Tell a package's directory from a reference to a registry."""

from __future__ import annotations

from pathlib import Path

from starfreight.errors import InputError


def is_reference(source: str) -> bool:
    """True for a reference to a registry, false for a directory.

    Raises:
        InputError: neither.
    """
    try:
        if Path(source).exists():
            return False
    except (OSError, ValueError):  # Longer than a path can be, or with a null byte.
        pass
    if source.startswith("oci://") or ("/" in source and not source.startswith(("/", "./", "../", "~"))):
        return True
    raise InputError(
        "There is no such directory, and it is not a registry reference.",
        where=repr(source[:200]),
        fix="name a package's directory, or HOST/NAMESPACE/NAME:TAG",
    )
