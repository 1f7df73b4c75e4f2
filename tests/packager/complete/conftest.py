"""A model of the starter's weights, as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.packager.press import ModelIdentity, PressRequest, press


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter's GGUF file."""
    pytest.importorskip("xllamacpp")
    out = tmp_path_factory.mktemp("starter")
    request = PressRequest(STARTER_FOLDER, None, ("Q8_0",), out, "t", ModelIdentity("Starter"))
    return press(request, Console(quiet=True))[0].path
