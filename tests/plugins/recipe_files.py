"""Recipe files for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

GOOD_RECIPE = """\
version: 1
name: acme-coder
base: {model: ./base, license: MIT}
data:
  - source: ./code
"""


def write_code(folder: Path, count: int = 8) -> None:
    """Writes a few files of code, unlike each other, with a license in them, to ``code`` in a directory."""
    (folder / "code").mkdir(exist_ok=True)
    for number in range(count):
        lines = [
            f"def step_{number}_{line}(value):\n    return value + {number * line}\n" for line in range(30)
        ]
        text = "# SPDX-License-Identifier: MIT\n\n" + "\n\n".join(lines)
        (folder / "code" / f"part_{number}.py").write_text(text)


@pytest.fixture
def good_recipe() -> str:
    """The shortest valid recipe."""
    return GOOD_RECIPE


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """Writes the good recipe plus more text, or other bytes, and returns the path."""

    def write(more: str = "", *, data: bytes | None = None) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_bytes((GOOD_RECIPE + more).encode() if data is None else data)
        return path

    return write
