"""Starfreight as people install it: from a copy of this checkout, into environments of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIP_OPTIONS = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation")
"""The dependencies, and setuptools, are those of the environment that runs the tests."""


@pytest.fixture(scope="session")
def copy_checkout() -> Callable[[Path], Path]:
    """Copies all files that git tracks, or that are new, to a directory; links stay links."""

    def copy(folder: Path) -> Path:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            source, target = ROOT / name, folder / name
            if source.is_symlink() or source.is_file():  # Not those that were deleted.
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        return folder

    return copy


@pytest.fixture(scope="session")
def own_checkout(copy_checkout: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, for all tests that build or install it."""
    return copy_checkout(tmp_path_factory.mktemp("checkout") / "starfreight")


@pytest.fixture(scope="session")
def own_wheel(own_checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip builds from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *PIP_OPTIONS, "--wheel-dir", folder, own_checkout], check=True
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Installs what pip takes into a new virtual environment, and returns its directory."""

    def make(*requirement: str | Path) -> Path:
        folder = tmp_path_factory.mktemp("environment") / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        library = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
        # The .pth files in that directory are not read, so that its own Starfreight is not found.
        Path(library, "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"]
        subprocess.run([*pip, *PIP_OPTIONS, "--ignore-installed", "--no-compile", *requirement], check=True)
        return folder

    return make
