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
from starfreight.package import BaseOrigin, Descriptor, LicenseFile, Package
from starfreight.packager.layout import ImageLayout, package_entries, verify_layout
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.manifests import FORMATS, ModelPack, ModelParts
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


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_a_manifest_is_the_golden_one(format: object, parts: ModelParts) -> None:
    (chosen,) = [each for each in FORMATS if each is format]
    check(chosen.build(parts), chosen.name)


def test_an_attachment_is_the_golden_one() -> None:
    subject = named("application/vnd.oci.image.manifest.v1+json", "a", 2000)
    evidence = named("application/vnd.in-toto+json", "b", 3000)
    annotations = {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
    check(build_attachment(subject, evidence, "application/vnd.in-toto+json", annotations), "attachment")


def test_a_package_is_written_as_version_1_was(
    tmp_path: Path, make_contents: Callable[..., PackageContents], console: Console
) -> None:
    write_package(tmp_path / "p", make_contents(), console)
    for golden in (GOLDEN / "package-v1").rglob("*"):
        if golden.is_file():
            assert (
                tmp_path / "p" / golden.relative_to(GOLDEN / "package-v1")
            ).read_bytes() == golden.read_bytes()


def test_a_package_of_version_1_still_verifies(tmp_path: Path, console: Console) -> None:
    shutil.copytree(GOLDEN / "package-v1", tmp_path / "p")
    assert verify_layout(tmp_path / "p", console).files == 24
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
    assert counts == {"ollama": 1, "modelpack": 2}
