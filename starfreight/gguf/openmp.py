"""OpenMP's library, which llama.cpp needs and minimal systems lack."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
from pathlib import Path

LIBRARY = "libgomp.so.1"
"""GCC's; ``xllamacpp`` links to it, but does not ship it."""


def load_openmp() -> None:
    """Load OpenMP's library for llama.cpp: the system's or, without one, the copy that torch ships.

    The dynamic linker takes a loaded library for any other of its name. If there is none, loading llama.cpp
    fails; :func:`loading_fix` then names the remedy.
    """
    with contextlib.suppress(OSError):
        ctypes.CDLL(LIBRARY)
        return
    torch = importlib.util.find_spec("torch")
    for folder in (torch.submodule_search_locations or ()) if torch is not None else ():
        with contextlib.suppress(OSError):
            ctypes.CDLL(str(Path(folder) / "lib" / LIBRARY))
            return


def loading_fix(error: Exception) -> str:
    """The remedy for an error in loading llama.cpp."""
    if LIBRARY in str(error):
        return "install OpenMP's library, on Debian and Ubuntu: apt install libgomp1"
    return "install xllamacpp again: pip install --force-reinstall xllamacpp"
