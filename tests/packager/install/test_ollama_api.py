"""Installation into a running Ollama through its API, from a package's directory."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ollama_client import OllamaClient, OllamaError
from ollama_server import OllamaServer

from starfreight.errors import GateError, InputError, ServiceError
from starfreight.package import Package
from starfreight.packager.install import Installed
from starfreight.packager.install.ollama_address import parse_ollama_address
from starfreight.packager.install.ollama_api import OllamaApi
from starfreight.packager.layout import ImageLayout

Put = Callable[..., Installed]


def test_the_model_is_there_under_its_name_alone_with_its_digest(
    put: Put, package_folder: Path, package: Package, ollama: OllamaServer, api: OllamaApi, cache: Path
) -> None:
    installed = put(package_folder, api)
    digest = package.default_variant.manifests[0].manifest.digest
    assert installed.name == f"{package.name}:latest"
    assert installed.digest == digest
    assert ollama.names() == {f"{package.name}:latest": digest.removeprefix("sha256:")}
    layout = ImageLayout(package_folder)
    for blob in (ollama.models / "blobs").iterdir():
        assert blob.read_bytes() == layout.blob_path(blob.name.replace("-", ":")).read_bytes()
    assert not [each for each in cache.rglob("*") if each.is_file()]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"variant": "q8_0"}, "{}:q8_0"),
        ({"name": "coder"}, "coder:latest"),
        ({"name": "acme/coder:1.0", "variant": "Q4_K_M"}, "acme/coder:1.0"),
    ],
)
def test_variant_and_name_are_the_users_choice(
    options: dict[str, str], name: str, put: Put, package_folder: Path, package: Package,
    ollama: OllamaServer, api: OllamaApi,
) -> None:  # fmt: skip
    put(package_folder, api, **options)
    assert list(ollama.names()) == [name.format(package.name)]


def test_blobs_that_ollama_has_are_not_sent_again(
    put: Put, package_folder: Path, api: OllamaApi, ollama: OllamaServer
) -> None:
    first = put(package_folder, api)
    seen: list[OllamaClient] = []
    ollama.before_pull = seen.append
    second = put(package_folder, api, name="again")
    assert first.present == 0
    assert second.present == second.size
    assert not [each for each in seen[0].asked if "/blobs/" in each.url]
    assert len(ollama.names()) == 2


def test_an_earlier_model_of_the_name_is_replaced(
    put: Put, package_folder: Path, api: OllamaApi, ollama: OllamaServer
) -> None:
    put(package_folder, api, name="coder")
    before = ollama.names()
    put(package_folder, api, name="coder", variant="Q8_0")
    assert list(ollama.names()) == ["coder:latest"]
    assert ollama.names() != before


def test_a_corrupt_file_of_the_package_is_not_installed(
    put: Put, package_folder: Path, package: Package, api: OllamaApi, ollama: OllamaServer
) -> None:
    path = ImageLayout(package_folder).blob_path(package.default_variant.gguf.digest)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(GateError, match="digest mismatch, file must be downloaded again"):
        put(package_folder, api)
    assert not ollama.names()


def test_a_missing_file_of_the_package_is_named(
    put: Put, package_folder: Path, package: Package, api: OllamaApi, ollama: OllamaServer
) -> None:
    ImageLayout(package_folder).blob_path(package.default_variant.gguf.digest).unlink()
    with pytest.raises(GateError, match="is missing"):
        put(package_folder, api)
    assert not ollama.names()


def test_a_failure_in_the_middle_leaves_no_temporary_name(
    put: Put, package_folder: Path, api: OllamaApi, ollama: OllamaServer
) -> None:
    def break_store(client: OllamaClient) -> None:
        shutil.rmtree(ollama.models / "manifests")
        (ollama.models / "manifests").write_text("")

    ollama.before_pull = break_store
    with pytest.raises(ServiceError, match="Ollama"):
        put(package_folder, api)


def test_without_a_server_the_alternatives_are_named(
    put: Put, package_folder: Path, free_port: Callable[[], int]
) -> None:
    target = OllamaApi(parse_ollama_address(f"127.0.0.1:{free_port()}"))
    with pytest.raises(ServiceError, match="does not answer: Connection refused") as caught:
        put(package_folder, target)
    assert "--ollama-models" in str(caught.value.fix)


def test_a_server_on_another_machine_is_refused_with_the_alternatives(
    put: Put, package_folder: Path, ollama: OllamaServer
) -> None:
    target = OllamaApi(dataclasses.replace(parse_ollama_address(ollama.host), is_local=False))
    with pytest.raises(ServiceError, match="another machine") as caught:
        put(package_folder, target)
    assert "package serve" in str(caught.value.fix)
    assert "--to DIR" in str(caught.value.fix)


def test_a_server_in_a_container_is_told_that_it_does_not_reach_this_machine(
    put: Put, package_folder: Path, api: OllamaApi, ollama: OllamaServer
) -> None:
    def refuse(client: OllamaClient) -> None:
        raise OllamaError(f'pull model manifest: Get "http://{client.host}/v2/": connection refused')

    ollama.before_pull = refuse
    with pytest.raises(ServiceError, match=r"perhaps in a container, .*connection refused") as caught:
        put(package_folder, api)
    assert "package serve" in str(caught.value.fix)


@pytest.mark.parametrize(
    "name", ["coder:cloud", "coder:my-Cloud", "coder:local", "a/b/c/d", "../x", "x:y:z", "x/..", "a b", ":x"]
)
def test_names_that_ollama_lacks_or_keeps_for_itself_are_refused_first(
    name: str, put: Put, package_folder: Path, api: OllamaApi, ollama: OllamaServer
) -> None:
    with pytest.raises(InputError, match="model name"):
        put(package_folder, api, name=name)
    assert not ollama.asked


@pytest.mark.parametrize("model", ["missing", "./missing", "/missing", "missing/folder"])
def test_something_that_does_not_exist_is_refused(model: str, put: Put, api: OllamaApi) -> None:
    with pytest.raises(InputError):
        put(model, api)


def test_an_unknown_variant_is_refused_with_the_choice(
    put: Put, package_folder: Path, api: OllamaApi
) -> None:
    with pytest.raises(InputError, match="no variant Q6_K") as caught:
        put(package_folder, api, variant="Q6_K")
    assert "Q4_K_M, Q8_0" in str(caught.value.fix)
