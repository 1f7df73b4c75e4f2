"""This machine's part in an evaluation: versions and processor."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starfreight import __version__
from starfreight.jobs.processor import processor_name


def versions() -> dict[str, str]:
    """Versions of the programs that figures depend on."""
    found = {"starfreight": __version__, "python": platform.python_version()}
    with contextlib.suppress(PackageNotFoundError):  # Behind a server it is not needed.
        found["xllamacpp"] = version("xllamacpp")
    return found


def machine_facts() -> dict[str, Any]:
    """The processor and its cores."""
    return {"processor": processor_name(), "cores": len(os.sched_getaffinity(0))}
