"""A package of two variants to install, and an Ollama to install it into."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ollama_server import OllamaServer

from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.install import Installed, InstallRequest, Target, install
from starfreight.packager.install.ollama_address import parse_ollama_address
from starfreight.packager.install.ollama_api import OllamaApi
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.quantization import Quantization


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plain_environment: None) -> Path:
    """The user's cache, of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def package_folder(tmp_path: Path, make_contents: Callable[..., PackageContents]) -> Path:
    weights = {Quantization.Q4_K_M: b"GGUF four" * 10_000, Quantization.Q8_0: b"GGUF eight" * 20_000}
    write_package(tmp_path / "package", make_contents(weights), Console(quiet=True))
    return tmp_path / "package"


@pytest.fixture
def package(package_folder: Path) -> Package:
    return Package.load(package_folder)


@pytest.fixture
def ollama(tmp_path: Path) -> Iterator[OllamaServer]:
    with OllamaServer(tmp_path / "models") as server:
        yield server


@pytest.fixture
def api(ollama: OllamaServer) -> OllamaApi:
    return OllamaApi(parse_ollama_address(ollama.host))


@pytest.fixture
def put(console: Console) -> Callable[..., Installed]:
    """Installs a model into a target."""

    def run(model: Path | str, target: Target, **options: str) -> Installed:
        return install(InstallRequest(str(model), target, **options), console)

    return run
