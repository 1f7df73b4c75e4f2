"""The wire formats, byte for byte.

The golden files are kept: what an earlier version wrote must stay readable. A new format gets new
files beside them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from starfreight.console import Console
from starfreight.files import canonical_json, sha256_bytes
from starfreight.package import BaseOrigin, Descriptor, Document, LicenseFile, Package
from starfreight.packager.layout import ImageLayout, package_entries, verify_layout
from starfreight.packager.layout import write_package as writing
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.manifests import (
    EARLIER_FORMATS,
    FORMATS,
    DockerModel,
    ManifestFormat,
    ModelPack,
    ModelParts,
    formats_for,
)
from starfreight.packager.manifests.modelpack import parameter_size
from starfreight.packager.manifests.ollama import human_number
from starfreight.packager.model_description import ModelDescription
from starfreight.quantization import Quantization
from starfreight.registry.manifests import BuiltManifest, build_attachment

GOLDEN = Path(__file__).parent.parent / "golden"


def named(media_type: str, digit: str, size: int) -> Descriptor:
    return Descriptor(media_type=media_type, digest="sha256:" + digit * 64, size=size)


@pytest.fixture
def parts() -> ModelParts:
    model = ModelDescription(
        name="acme-coder",
        title="Acme coder",
        description="Completes Acme's code.",
        created="2026-01-31T12:00:00Z",
        run="acme-coder-0123456789",
        recipe="sha256:" + "1" * 64,
        base=BaseOrigin(name="base", digest="sha256:" + "2" * 64),
        architecture="starcoder2",
        parameters=3_030_371_328,
        context_length=16384,
        default=Quantization.Q4_K_M,
        authors=("Acme <code@acme.example>",),
        source_url="https://acme.example/coder",
        doc_url="https://acme.example/docs",
        dataset_urls=("https://git.acme.example/src.git",),
    )
    return ModelParts(
        model=model,
        quantization=Quantization.Q4_K_M,
        gguf=named("application/octet-stream", "a", 1_850_000_000),
        template=named("text/plain", "b", 100),
        settings=named("application/json", "c", 60),
        system=named("text/plain", "d", 20),
        licenses=(
            LicenseFile(name="LicenseRef-BigCode-OpenRAIL-M", text=named("text/plain", "e", 12000)),
            LicenseFile(name="Apache-2.0", text=named("text/plain", "f", 11000)),
        ),
        model_card=named("text/markdown", "0", 3000),
    )


def check(built: BuiltManifest, name: str) -> None:
    for kind, data in (("manifest", built.manifest), ("config", built.config)):
        golden = json.loads((GOLDEN / f"{name}-{kind}.json").read_bytes())
        assert json.loads(data) == golden
        assert data == canonical_json(golden)
    config = json.loads(built.manifest)["config"]
    assert config["digest"] == sha256_bytes(built.config)
    assert (config["size"], config["mediaType"]) == (len(built.config), built.config_media_type)


GOLDEN_NAMES = dict(zip(FORMATS, ("ollama", "modelpack-2", "docker"), strict=True))
EARLIER_NAMES = dict(zip(EARLIER_FORMATS, ("ollama", "modelpack"), strict=True))


@pytest.mark.parametrize(
    ("format", "name"), [*GOLDEN_NAMES.items(), *EARLIER_NAMES.items()], ids=lambda value: str(value)[:20]
)
def test_a_manifest_is_the_golden_one(format: ManifestFormat, name: str, parts: ModelParts) -> None:
    check(format.build(parts), name)


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_a_manifest_with_documents_is_the_golden_one(format: ManifestFormat, parts: ModelParts) -> None:
    documents = (
        Document(name="BASE_MODEL_CARD.md", text=named("text/plain", "7", 9000)),
        Document(name="NOTICE", text=named("text/plain", "8", 500)),
    )
    check(format.build(replace(parts, documents=documents)), f"documents-{format.name}")


def test_an_attachment_is_the_golden_one() -> None:
    subject = named("application/vnd.oci.image.manifest.v1+json", "a", 2000)
    evidence = named("application/vnd.in-toto+json", "b", 3000)
    annotations = {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
    check(build_attachment(subject, evidence, "application/vnd.in-toto+json", annotations), "attachment")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_package_is_written_as_the_golden_one(
    tmp_path: Path, make_contents: Callable[..., PackageContents], console: Console
) -> None:
    write_package(tmp_path / "p", make_contents(), console)
    assert tree(tmp_path / "p") == tree(GOLDEN / "package-v1-titles")


def test_a_package_is_written_as_version_1_was_but_for_the_formats(
    tmp_path: Path,
    make_contents: Callable[..., PackageContents],
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "formats_for", lambda *, with_adapter: EARLIER_FORMATS)
    write_package(tmp_path / "p", make_contents(), console)
    assert tree(tmp_path / "p") == tree(GOLDEN / "package-v1")


@pytest.mark.parametrize(("golden", "files"), [("package-v1", 24), ("package-v1-titles", 30)])
def test_a_package_of_version_1_still_verifies(
    golden: str, files: int, tmp_path: Path, console: Console
) -> None:
    shutil.copytree(GOLDEN / golden, tmp_path / "p")
    assert verify_layout(tmp_path / "p", console).files == files
    package = Package.load(tmp_path / "p")
    assert package.default == Quantization.Q4_K_M
    assert set(ImageLayout(tmp_path / "p").index()) == set(package_entries(package))


@pytest.mark.parametrize(
    ("count", "ollama", "modelpack"),
    [
        (3_030_371_328, "3.0B", "3.0B"),
        (15_000_000_000, "15B", "15.0B"),
        (2_754_048, "2.75M", "2.8M"),
        (124_000_000, "124M", "124.0M"),
        (999_960_000, "999.96M", "1.0B"),
        (12_345, "12K", "12.3K"),
        (7, "7", "0.0K"),
    ],
)
def test_numbers_of_weights_are_written_as_each_client_writes_them(
    count: int, ollama: str, modelpack: str
) -> None:
    assert human_number(count) == ollama
    assert parameter_size(count) == modelpack


def test_whole_precision_is_no_quantization_in_modelpack(parts: ModelParts) -> None:
    for quantization, precision in ((Quantization.F16, "float16"), (Quantization.BF16, "bfloat16")):
        config = json.loads(ModelPack().build(replace(parts, quantization=quantization)).config)["config"]
        assert config["precision"] == precision
        assert "quantization" not in config


def test_parts_that_are_not_there_have_no_layer(parts: ModelParts) -> None:
    bare = replace(parts, template=None, settings=None, system=None, licenses=())
    counts = {format.name: len(json.loads(format.build(bare).manifest)["layers"]) for format in FORMATS}
    assert counts == {"ollama": 1, "modelpack": 2, "docker": 1}


def layers_of(format: ManifestFormat, parts: ModelParts) -> dict[str, str]:
    """The path of each layer, and its media type."""
    layers = json.loads(format.build(parts).manifest)["layers"]
    for layer in layers:
        notes = layer["annotations"]
        assert notes["org.opencontainers.image.title"] == notes["org.cncf.model.filepath"]
    found = {layer["annotations"]["org.cncf.model.filepath"]: layer["mediaType"] for layer in layers}
    assert len({name.casefold() for name in found}) == len(layers)
    assert not [name for name in found if "/" in name or "\\" in name or name.startswith(".")]
    return found


@pytest.mark.parametrize("name", ["acme-coder", "zz", "0", "0-", "00", "9x", "a"])
@pytest.mark.parametrize("with_adapter", [False, True])
def test_the_model_is_the_first_file_in_ascii_order(name: str, with_adapter: bool, parts: ModelParts) -> None:
    """RamaLama serves ``sorted(filepaths)[0]`` of what podman wrote."""
    variant = replace(
        parts,
        model=parts.model.model_copy(update={"name": name}),
        adapter=named("application/octet-stream", "9", 7) if with_adapter else None,
    )
    for format in FORMATS[1:] if not with_adapter else [ModelPack()]:
        files = layers_of(format, variant)
        first = sorted(files)[0]
        assert first.endswith(f"{variant.quantization}.gguf")
        assert first == next(iter(files))
        assert "LICENSE" in files


def test_licenses_have_flat_names_of_their_own(parts: ModelParts) -> None:
    names = ["MIT", "LicenseRef-A/B", "LicenseRef-a-b", "../x", "...", "LicenseRef-A/B", "L" * 400]
    licenses = tuple(LicenseFile(name=name, text=parts.licenses[0].text) for name in names)
    files = layers_of(ModelPack(), replace(parts, licenses=licenses))
    found = [name for name in files if name.startswith("LICENSE")]
    assert found[:6] == [
        "LICENSE", "LICENSE-LicenseRef-A-B.txt", "LICENSE-LicenseRef-a-b-2.txt", "LICENSE-x.txt",
        "LICENSE-other.txt", "LICENSE-LicenseRef-A-B-3.txt",
    ]  # fmt: skip
    assert max(map(len, found)) < 128


def test_docker_s_format_has_the_types_that_llama_cpp_and_llmman_look_for(parts: ModelParts) -> None:
    manifest = json.loads(DockerModel().build(parts).manifest)
    first, *others = manifest["layers"]
    assert (first["mediaType"], first["digest"]) == ("application/vnd.docker.ai.gguf.v3", parts.gguf.digest)
    assert {each["mediaType"] for each in others} == {"application/vnd.docker.ai.license"}
    assert manifest["config"]["mediaType"] == "application/vnd.docker.ai.model.config.v0.2+json"


def test_a_package_with_an_adapter_has_no_manifest_in_docker_s_format() -> None:
    """Its clients would run the base model without the adapter, and nobody would know."""
    assert [each.name for each in formats_for(with_adapter=True)] == ["ollama", "modelpack"]
