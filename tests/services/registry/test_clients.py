"""What people pull with: RamaLama's Ollama transport, requests as Ollama sends them, and a completion."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.files import sha256_file
from starfreight.gguf.local_model import LocalModel
from starfreight.package import Package
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.press import PressRequest, press
from starfreight.packager.registry.push import publish
from starfreight.quantization import Quantization

ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"
PULL = """
import argparse, sys
from ramalama.transports import ollama
ollama.OllamaRepository.REGISTRY_URL = sys.argv[1]
model = ollama.Ollama(sys.argv[2], sys.argv[3])
model.pull(argparse.Namespace(quiet=True, verify=True))
"""


@pytest.fixture(scope="module")
def pressed_package(
    make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Callable[..., PackageContents]], Path]:
    """A package with a real model in it: the starter when it is there, else a tiny one of random weights."""
    folder = tmp_path_factory.mktemp("pressed")

    def make(make_contents: Callable[..., PackageContents]) -> Path:
        out = folder / "package"
        if not out.exists():
            real = (STARTER_FOLDER / "model.safetensors").exists()
            base = STARTER_FOLDER if real else make_checkpoint(folder / "base")
            console = Console(quiet=True)
            request = PressRequest(base, None, (Quantization.Q4_K_M, Quantization.Q8_0), folder, "tiny-coder")
            write_package(out, make_contents(files=press(request, console)), console)
        return out

    return make


def pull_with_ramalama(url: str, name: str, store: Path) -> Path:
    """Pulls a model and returns its file in RamaLama's store."""
    command = [sys.executable, "-c", PULL, f"{url}/v2", name, str(store)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (found,) = [
        path for path in store.rglob("snapshots/*/*") if path.name == name.split("/")[1].split(":")[0]
    ]
    return found.resolve()


def test_what_ramalama_pulls_is_the_model_and_completes_code_as_the_package_does(
    gateway: Any, registry: Any, repository: str, console: Console,
    pressed_package: Callable[..., Path], make_contents: Callable[..., PackageContents], tmp_path: Path,
) -> None:  # fmt: skip
    pytest.importorskip("ramalama")
    folder = pressed_package(make_contents)
    publish(folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    package = Package.load(folder)
    pulled = pull_with_ramalama(gateway.url, f"{repository}:1.0", tmp_path / "store")
    gguf = package.default_variant.gguf
    assert sha256_file(pulled) == gguf.digest
    written = []
    for path in (pulled, folder / "blobs/sha256" / gguf.digest.removeprefix("sha256:")):
        with LocalModel(path, threads=1) as model:
            written.append(model.fill("def area(radius):\n    return ", "\n\nprint(area(2))\n", max_tokens=8))
    assert written[0].tokens
    assert written[0] == written[1]


def test_the_gateway_tells_ollama_where_a_blob_lies(
    gateway: Any, registry: Any, repository: str, package_folder: Path, console: Console
) -> None:
    """Ollama asks for a blob, wants a ``Location``, and fetches ranges from there without credentials."""
    publish(package_folder, f"{gateway.host}/{repository}:1.0", insecure=True, console=console)
    base = f"{gateway.url}/v2/{repository}"
    manifest = requests.get(f"{base}/manifests/1.0", headers={"Accept": ACCEPT}, timeout=10).json()
    assert manifest["mediaType"] == ACCEPT
    layers = {layer["mediaType"].rpartition(".")[2]: layer for layer in manifest["layers"]}
    assert set(layers) == {"model", "template", "params", "license"}
    model = layers["model"]
    answer = requests.get(f"{base}/blobs/{model['digest']}", timeout=10, stream=True, allow_redirects=False)
    assert answer.status_code == 200
    location = answer.headers["Location"]
    answer.close()
    assert location == f"{base}/blobs/{model['digest']}"
    data = b""
    for start in range(0, model["size"], 500_000):
        end = min(start + 500_000, model["size"]) - 1
        part = requests.get(location, headers={"Range": f"bytes={start}-{end}"}, timeout=10)
        assert part.status_code == 206
        data += part.content
    assert data == registry.blob(model["digest"]).read_bytes()
    plain = requests.get(f"{registry.url}/v2/{repository}/blobs/{model['digest']}", timeout=10, stream=True)
    assert "Location" not in plain.headers, "the registry does it itself now: the gateway can go"
    plain.close()


def test_ramalama_reads_the_modelpack_manifest(package_folder: Path) -> None:
    spec = pytest.importorskip("ramalama.transports.oci.spec")
    from starfreight.packager.layout import ImageLayout

    package, layout = Package.load(package_folder), ImageLayout(package_folder)
    for variant in package.variants:
        (modelpack,) = [each for each in variant.manifests if each.format == "modelpack"]
        manifest = spec.Manifest.from_dict(layout.json_file(layout.blob_path(modelpack.manifest.digest)))
        assert manifest.layers[0].digest == variant.gguf.digest
        assert manifest.layers[0].filepath() == f"0-tiny-coder-{variant.quantization}.gguf"
        for layer in manifest.layers:
            assert layer.file_metadata().size == layer.size


@pytest.mark.parametrize("suffix", ["-oci", "-docker"])
def test_oras_pull_writes_every_file_flat_with_the_model_first(
    suffix: str, registry: Any, repository: str, package_folder: Path, console: Console, tmp_path: Path
) -> None:
    from oras.client import OrasClient

    formats = ("ollama", "modelpack", "docker")
    reference = f"{registry.host}/{repository}:1.0"
    publish(package_folder, reference, insecure=True, console=console, formats=formats)
    out = tmp_path / "out"
    out.mkdir()
    OrasClient(insecure=True).pull(
        reference + suffix, outdir=str(out), allowed_media_type=["application/vnd.oci.image.manifest.v1+json"]
    )
    package = Package.load(package_folder)
    written = {path.name: sha256_file(path) for path in out.iterdir()}
    assert all(path.is_file() for path in out.iterdir())
    # RamaLama, through podman, serves the first one.
    assert written[min(written)] == package.default_variant.gguf.digest
    assert written["LICENSE"] == package.licenses[0].text.digest
    assert written["LICENSE-MIT.txt"] == package.licenses[1].text.digest
    if suffix == "-oci":
        assert package.settings is not None
        assert written["README.md"] == package.model_card.digest
        assert written["params.json"] == package.settings.digest


def test_skopeo_copies_both_oci_formats_and_keeps_their_digests(
    registry: Any, repository: str, package_folder: Path, console: Console, tmp_path: Path,
    require_service: Callable[[str], str],
) -> None:  # fmt: skip
    skopeo = require_service("skopeo")
    reference = f"{registry.host}/{repository}:1.0"
    formats = ("ollama", "modelpack", "docker")
    publish(package_folder, reference, insecure=True, console=console, formats=formats)
    # It refuses to copy Ollama's: "unsupported docker v2s2 media type".
    for each in Package.load(package_folder).default_variant.manifests[1:]:
        to = tmp_path / each.format
        command = [skopeo, "copy", "-q", "--src-tls-verify=false", "--preserve-digests"]
        command += [f"docker://{reference}{each.suffix}", f"dir:{to}"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert sha256_file(to / "manifest.json") == each.manifest.digest
