"""This machine's part in an evaluation: versions, processor, image."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from starfreight import __version__
from starfreight.jobs.protocol.environment import IMAGE_VARIABLE


def versions() -> dict[str, str]:
    """Versions of the programs that figures depend on."""
    found = {"starfreight": __version__, "python": platform.python_version()}
    with contextlib.suppress(PackageNotFoundError):  # Behind a server it is not needed.
        found["xllamacpp"] = version("xllamacpp")
    return found


def machine_facts() -> dict[str, Any]:
    """The processor and its cores."""
    return {"processor": _processor(), "cores": len(os.sched_getaffinity(0))}


def image_digest() -> str | None:
    """The digest of this container's image, as set by the backend."""
    digest = os.environ.get(IMAGE_VARIABLE, "")
    return digest if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else None


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()[:200]
    return platform.processor() or platform.machine()
