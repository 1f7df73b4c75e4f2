"""Installation from real registries, with everything that can go wrong on the way; never a wrong byte."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from listeners import trust
from ollama_server import OllamaServer

from starfreight.console import Console
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import canonical_json, sha256_bytes, sha256_file
from starfreight.package import Descriptor, Package
from starfreight.packager.install import Installed, InstallRequest, Target, install
from starfreight.packager.install.folder import Folder
from starfreight.packager.install.ollama_address import parse_ollama_address
from starfreight.packager.install.ollama_api import OllamaApi
from starfreight.packager.install.ollama_store import OllamaStore
from starfreight.packager.layout import ImageLayout
from starfreight.packager.registry.package_record import PackageRecord
from starfreight.packager.registry.push import publish
from starfreight.registry import TagReference
from starfreight.registry.manifests import descriptor_for
from starfreight.registry.publishing import PublishingClient
from starfreight.registry.referrers import attach_all

RUNS = int(os.environ.get("STARFREIGHT_FAULT_RUNS", "6"))

Put = Callable[..., Installed]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def ollama(tmp_path: Path) -> Iterator[OllamaServer]:
    with OllamaServer(tmp_path / "models") as server:
        yield server


@pytest.fixture
def api(ollama: OllamaServer) -> OllamaApi:
    return OllamaApi(parse_ollama_address(ollama.host))


@pytest.fixture
def put(console: Console) -> Put:
    def run(model: str, target: Target, **options: Any) -> Installed:
        return install(InstallRequest(model, target, **{"insecure": True, **options}), console)

    return run


@pytest.fixture
def published(registry: Any, package_folder: Path, repository: str, console: Console) -> str:
    """The reference of the package in the plain registry, without the host."""
    publish(
        package_folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console,
        formats=("ollama", "modelpack", "docker"),
    )  # fmt: skip
    return f"{repository}:1.0"


def digest_of(folder: Path, quantization: str = "Q4_K_M", format: str = "ollama") -> str:
    for variant in Package.load(folder).variants:
        for each in variant.manifests:
            if (str(variant.quantization), each.format) == (quantization, format):
                return each.manifest.digest
    raise AssertionError


def assert_installed(ollama: OllamaServer, digest: str) -> None:
    """Every model of the store is whole, and one has this manifest."""
    assert digest.removeprefix("sha256:") in ollama.names().values()
    for blob in (ollama.models / "blobs").iterdir():
        assert sha256_file(blob) == blob.name.replace("-", ":")


def test_a_reference_gets_the_name_that_a_pull_would_give_it_and_its_digest(
    registry: Any, published: str, package_folder: Path, put: Put, api: OllamaApi, ollama: OllamaServer,
    cache: Path,
) -> None:  # fmt: skip
    installed = put(f"{registry.host}/{published}", api)
    assert installed.name == f"{registry.host}/{published}"
    assert list(ollama.names()) == [f"{registry.host}/{published}"]
    assert installed.digest == digest_of(package_folder)
    assert_installed(ollama, digest_of(package_folder))
    assert not [each for each in cache.rglob("*") if each.is_file()]


@pytest.mark.parametrize(
    ("suffix", "variant"),
    [("", None), ("-oci", None), ("-q8_0-oci", None), ("", "Q8_0"), ("-oci", "Q8_0"), ("-q8_0", "Q8_0")],
)
def test_every_tag_and_variant_leads_to_ollamas_manifest_of_the_package(
    suffix: str, variant: str | None, registry: Any, published: str, package_folder: Path, put: Put,
    ollama: OllamaServer,
) -> None:  # fmt: skip
    store = OllamaStore(ollama.models)
    installed = put(f"{registry.host}/{published}{suffix}", store, name="coder", variant=variant)
    quantization = "Q8_0" if variant or "q8_0" in suffix else "Q4_K_M"
    if "oci" not in suffix:
        assert installed.digest == digest_of(package_folder, quantization)
    assert_installed(ollama, installed.digest)
    manifest = ollama.manifest("coder").read_text()
    assert {variant.gguf.digest for variant in Package.load(package_folder).variants if variant.quantization
            == quantization} <= set(_digests(manifest))  # fmt: skip


def _digests(manifest: str) -> list[str]:
    return [layer["digest"] for layer in json.loads(manifest)["layers"]]


def test_a_modelpack_model_arrives_in_ollama_with_template_parameters_and_licenses(
    registry: Any, published: str, package_folder: Path, put: Put, api: OllamaApi, ollama: OllamaServer
) -> None:
    put(f"{registry.host}/{published}-oci", api, name="coder")
    package = Package.load(package_folder)
    assert package.template is not None and package.settings is not None
    expected = [package.default_variant.gguf, package.template, package.settings]
    expected += [license.text for license in package.licenses]
    assert {each.digest for each in expected} == set(_digests(ollama.manifest("coder").read_text()))
    assert_installed(ollama, sha256_bytes(ollama.manifest("coder").read_bytes()))


def test_a_package_of_an_earlier_version_arrives_by_its_modelpack_tag(
    registry: Any, repository: str, tmp_path: Path, put: Put, console: Console
) -> None:
    golden = Path(__file__).parents[2] / "packager/golden/package-v1"
    shutil.copytree(golden, tmp_path / "golden")
    publish(tmp_path / "golden", f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    put(f"{registry.host}/{repository}:1.0-oci", Folder(tmp_path / "files"))
    package = Package.load(golden)
    files = {sha256_file(each) for each in (tmp_path / "files").iterdir()}
    assert {package.default_variant.gguf.digest, package.provenance.digest} <= files


def test_a_record_with_the_provenance_of_another_model_is_refused(
    registry: Any, repository: str, package_folder: Path, published: str, tmp_path: Path, put: Put
) -> None:
    package = Package.load(package_folder)
    other = canonical_json({"subject": [{"name": "model.gguf", "digest": {"sha256": "0" * 64}}]})
    described = descriptor_for(package.provenance.media_type, other)
    evil = package.model_copy(update={"provenance": described, "created": "2099-01-01T00:00:00Z"})
    client = PublishingClient(TagReference(registry.host, repository, "1.0"), insecure=True)
    shutil.copytree(package_folder, tmp_path / "evil")
    (tmp_path / "evil/blobs/sha256" / described.digest[7:]).write_bytes(other)
    record = PackageRecord(evil, ImageLayout(tmp_path / "evil"))
    for blob in record.blobs:
        client.upload(record, blob, lambda amount, what=None: None)
    attach_all(client, record.attachments([digest_of(package_folder)]))
    with pytest.raises(GateError, match="about other files"):
        put(f"{registry.host}/{published}", Folder(tmp_path / "files"))
    assert not (tmp_path / "files").exists()


def test_dockers_format_arrives_as_a_model_without_a_template(
    registry: Any, published: str, package_folder: Path, put: Put, tmp_path: Path
) -> None:
    put(f"{registry.host}/{published}-docker", Folder(tmp_path / "files"))
    assert b"TEMPLATE" not in (tmp_path / "files/Modelfile").read_bytes()
    (gguf,) = (tmp_path / "files").glob("*.gguf")
    assert sha256_file(gguf) == Package.load(package_folder).default_variant.gguf.digest


@pytest.mark.parametrize("format", ["ollama", "modelpack"])
def test_a_digest_is_installed_and_names_its_variant(
    format: str, registry: Any, published: str, repository: str, package_folder: Path, put: Put,
    tmp_path: Path,
) -> None:  # fmt: skip
    digest = digest_of(package_folder, "Q8_0", format)
    put(f"{registry.host}/{repository}@{digest}", Folder(tmp_path / "files"))
    (gguf,) = (tmp_path / "files").glob("*.gguf")
    assert gguf.name.endswith("-Q8_0.gguf")


def test_a_private_registry_is_read_with_the_users_credentials(
    locked_registry: Any, package_folder: Path, repository: str, console: Console, put: Put, api: OllamaApi,
    ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    trust(locked_registry, monkeypatch)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", locked_registry.username)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", locked_registry.password)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_HOST", locked_registry.host)
    reference = f"{locked_registry.host}/{repository}:1.0"
    publish(package_folder, reference, insecure=False, console=console)
    put(reference, api, insecure=False)
    assert_installed(ollama, digest_of(package_folder))
    monkeypatch.delenv("STARFREIGHT_REGISTRY_HOST")
    with pytest.raises(ServiceError, match="credentials"):
        put(reference, api, insecure=False, name="again")


def test_a_model_that_does_not_exist_is_exit_code_2(registry: Any, put: Put, api: OllamaApi) -> None:
    with pytest.raises(InputError, match="no such model"):
        put(f"{registry.host}/team/nothing:1.0", api)


def test_something_other_than_a_model_is_refused(
    registry: Any, repository: str, put: Put, api: OllamaApi
) -> None:
    client = PublishingClient(TagReference(registry.host, repository, "1.0"), insecure=True)
    config = Descriptor(media_type="application/vnd.oci.empty.v1+json", digest=sha256_bytes(b"{}"), size=2)
    client.upload(_Bytes(b"{}"), config, lambda amount, what=None: None)
    layer = config.model_dump()
    entry = f'{{"mediaType":"{layer["media_type"]}","digest":"{layer["digest"]}","size":2}}'
    manifest = (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        f'"artifactType":"application/vnd.acme.data","config":{entry},"layers":[{entry}]}}'
    ).encode()
    client.put_manifest("1.0", "application/vnd.oci.image.manifest.v1+json", manifest)
    with pytest.raises(InputError, match=r"other than a model: application/vnd\.acme\.data"):
        put(f"{registry.host}/{repository}:1.0", api)


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, descriptor: Descriptor) -> Any:
        return contextlib.closing(io.BytesIO(self._data))

    def where(self, descriptor: Descriptor) -> str:
        return "memory"


@pytest.mark.parametrize("place", ["api", "store", "files"])
def test_a_byte_that_is_corrupt_in_the_registry_is_never_installed(
    place: str, registry: Any, published: str, package_folder: Path, put: Put, ollama: OllamaServer,
    api: OllamaApi, tmp_path: Path,
) -> None:  # fmt: skip
    digest = Package.load(package_folder).default_variant.gguf.digest
    stored = registry.blob(digest)
    right = stored.read_bytes()
    targets: dict[str, Target] = {
        "api": api, "store": OllamaStore(ollama.models), "files": Folder(tmp_path / "files")
    }  # fmt: skip
    try:
        stored.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        with pytest.raises(GateError, match="another digest") as caught:
            put(f"{registry.host}/{published}", targets[place], **({} if place == "files" else {"name": "x"}))
    finally:
        stored.write_bytes(right)
    assert caught.value.exit_code == 3
    assert not ollama.names()
    assert not (ollama.models / "blobs" / digest.replace(":", "-")).exists()
    assert not list(tmp_path.glob("files/*.gguf"))


def _chaos(seed: int, fault: Any) -> Callable[[str, str, int], Any]:
    """Faults of every kind at bytes of chance, in about every third request; never four in a row."""
    chance = random.Random(seed)
    budget: dict[str, int] = {}

    def make(method: str, path: str, length: int) -> Any:
        if method != "GET" or chance.random() > 0.4 or budget.get(path, 0) >= 2:
            return None
        budget[path] = budget.get(path, 0) + 1
        at = chance.randrange(100_000)
        kinds = [{"status": chance.choice((429, 500, 502, 503, 504))}, {"delay": chance.random() / 20}]
        if "/blobs/" in path:
            kinds += [{"cut_answer_after": at}, {"cut_answer_after": 0}]
            if budget.setdefault(path + " corrupt", 0) < 1:
                kinds.append({"corrupt_at": at})
        kind = chance.choice(kinds)
        if "corrupt_at" in kind:
            budget[path + " corrupt"] = 1
        return fault(method, path, **kind)

    return make


@pytest.mark.usefixtures("impatient")
def test_cuts_delays_corruption_and_failures_end_in_the_right_bytes(
    faulty: Any, fault: Any, published: str, package_folder: Path, put: Put, ollama: OllamaServer,
    api: OllamaApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("starfreight.registry.partial_file.SEGMENT", 40_000)
    digest = digest_of(package_folder, "Q8_0")
    gguf = next(each for each in Package.load(package_folder).variants if each.quantization == "Q8_0").gguf
    for run in range(RUNS):
        faulty.chaos = _chaos(run, fault)
        files = Folder(tmp_path / f"files{run}")
        target: Target = (api, OllamaStore(ollama.models), files)[run % 3]
        put(f"{faulty.host}/{published}", target, variant="Q8_0",
            **({} if target is files else {"name": "coder"}))  # fmt: skip
        if target is files:
            assert sha256_file(next(files.folder.glob("*.gguf"))) == gguf.digest
            shutil.rmtree(files.folder)
            continue
        assert_installed(ollama, digest)
        shutil.rmtree(ollama.models / "blobs")
        shutil.rmtree(ollama.models / "manifests")
        for name in ("blobs", "manifests"):
            (ollama.models / name).mkdir()


def test_an_ollama_on_another_machine_is_refused_before_the_download(
    registry: Any, faulty: Any, published: str, put: Put, api: OllamaApi
) -> None:
    remote = dataclasses.replace(api, address=dataclasses.replace(api.address, is_local=False))
    with pytest.raises(ServiceError, match="another machine"):
        put(f"{faulty.host}/{published}", remote)
    assert not faulty.seen
