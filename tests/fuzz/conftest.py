"""Valid inputs to start from."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the files of a module's examples, each of which replaces the one before."""
    return tmp_path_factory.mktemp("fuzz")
