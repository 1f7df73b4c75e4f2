"""Keeps files in the current directory from being imported in place of libraries.

This module imports only ``os`` and ``sys``, which Python has loaded before it looks at ``sys.path``.
"""

from __future__ import annotations

import os
import sys


def leave_out_current_directory() -> None:
    """Removes the current directory from ``sys.path``, and from ``PYTHONPATH`` for child processes.

    A checkout of Starfreight as the current directory stays when it is the one that runs.
    """
    package = os.path.dirname(os.path.abspath(__file__))
    if _same(os.path.dirname(package), "."):
        return
    sys.path[:] = [entry for entry in sys.path if not _same(entry or ".", ".")]
    listed = os.environ.get("PYTHONPATH")
    if listed is not None:
        kept = [entry for entry in listed.split(os.pathsep) if not _same(entry or ".", ".")]
        os.environ["PYTHONPATH"] = os.pathsep.join(kept)


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
