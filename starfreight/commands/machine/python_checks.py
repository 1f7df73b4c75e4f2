"""Python, this installation, and torch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys

from starfreight import __version__
from starfreight.commands.machine.finding import Finding


def check_python() -> Finding:
    """The interpreter and this version of Starfreight."""
    text = f"Python {platform.python_version()} at {sys.executable}, Starfreight {__version__}"
    return Finding("ok", text)


def check_torch() -> Finding:
    """Torch and transformers, which training on this machine needs. Neither is imported."""
    fix = "to train on this machine without a container: pip install 'starfreight[train]'"
    if importlib.util.find_spec("torch") is None:
        return Finding("missing", "torch is not installed", fix)
    version = importlib.metadata.version("torch")
    if importlib.util.find_spec("transformers") is None:
        return Finding("warning", f"torch {version}, without transformers", fix)
    text = f"torch {version}, transformers {importlib.metadata.version('transformers')}"
    return Finding("ok", text + (" (for CPUs only)" if version.endswith("+cpu") else ""))
