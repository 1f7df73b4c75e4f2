"""A package with training data from two sources: files of a repository, and records."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from traced_data import write_data

from starfreight.console import Console
from starfreight.run import Run


@pytest.fixture(scope="session")
def built_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages that were built already, by their options."""
    return tmp_path_factory.mktemp("built")


@pytest.fixture
def make_package(make_run: Callable[..., Path], tmp_path: Path, built_packages: Path) -> Callable[..., Path]:
    """Builds a package of that data, once for equal options; its run is ``runs/tiny`` beside it."""
    from starfreight.packager.build.build_package import build_package

    def make(**options: Any) -> Path:
        kept = built_packages / repr(sorted(options.items())).replace("/", " ")
        if kept.is_dir():
            shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
            return tmp_path / "package"
        run = make_run(tmp_path, **options)
        digest = write_data(run / "data")
        Run.load(run).model_copy(update={"data_manifest": digest}).save(run)
        folder = tmp_path / "package"
        build_package(run, folder, None, Console(quiet=True), skip_loss_check=True)
        shutil.copytree(tmp_path, kept)
        return folder

    return make
