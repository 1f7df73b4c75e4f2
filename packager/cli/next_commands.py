"""The commands to run after a package is written."""

from __future__ import annotations

import shlex
from pathlib import Path


def next_commands(package: Path, quantization: str | None = None) -> str:
    """Lines that name the commands to try a package and to publish it.

    Args:
        package: its directory.
        quantization: the variant to use instead of the package's default.
    """
    folder = shlex.quote(str(package))
    tried = f" --quantization {quantization}" if quantization else ""
    published = f" --default {quantization}" if quantization else ""
    return (
        "Next:\n"
        f"  starfreight try {folder}{tried}\n"
        f"  starfreight publish {folder} HOST/NAMESPACE/NAME:TAG{published}"
    )
