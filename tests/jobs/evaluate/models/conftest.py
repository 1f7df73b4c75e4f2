"""The starter's weights as a file, and requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.jobs.evaluate.models.model_files import LocalTarget, ModelFiles
from starfreight.packager.press import ModelIdentity, PressRequest, press

FIM = (
    "{{ if .Suffix }}<fim_prefix>{{ .Prompt }}<fim_suffix>{{ .Suffix }}<fim_middle>"
    "{{ else }}{{ .Prompt }}{{ end }}"
)
SETTINGS = {"num_ctx": 256, "stop": ["<|endoftext|>", "<file_sep>"]}


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter's GGUF file."""
    pytest.importorskip("xllamacpp")
    out = tmp_path_factory.mktemp("starter")
    request = PressRequest(STARTER_FOLDER, None, ("Q4_K_M",), out, "t", ModelIdentity("Starter"))
    return press(request, Console(quiet=True))[0].path


@pytest.fixture(scope="session")
def target(gguf: Path) -> Callable[..., LocalTarget]:
    """Makes a packaged model of it."""

    def make(**changes: object) -> LocalTarget:
        fields: dict[str, object] = {"settings": SETTINGS, "template": FIM, **changes}
        return LocalTarget(gguf, None, ModelFiles("acme-coder", **fields))  # type: ignore[arg-type]

    return make
