"""Models from manifests of strangers: recognised or refused, and no name of theirs becomes a path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, InputError, StarfreightError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.package import Descriptor
from starfreight.packager.install.folder import write_folder
from starfreight.packager.install.interface import Model
from starfreight.packager.install.models import manifest_model
from starfreight.packager.registry.remote_manifest import parse_remote

OLLAMA = "application/vnd.ollama.image."
MODELPACK = "application/vnd.cncf.model."
DOCKER = "application/vnd.docker.ai."


class Blobs:
    """A source of blobs in memory, and a maker of manifests over them."""

    where = "registry.test/team/coder:1.0"

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def entry(self, media_type: str, data: bytes, name: str = "") -> dict[str, Any]:
        digest = sha256_bytes(data)
        self.data[digest] = data
        entry: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": len(data)}
        return entry | ({"annotations": {"org.cncf.model.filepath": name}} if name else {})

    def model(self, config: tuple[str, Any], *layers: dict[str, Any], **changes: Any) -> Model:
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.entry(config[0], canonical_json(config[1])),
            "layers": list(layers),
        }
        data = json.dumps(manifest | changes).encode()
        return manifest_model(parse_remote(data, self.where), "coder", self)

    def path(self, blob: Descriptor) -> Path | None:
        return None

    def fetch(self, blob: Descriptor, to: Path, advance: Any) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(self.data[blob.digest])

    def read(self, blob: Descriptor) -> bytes:
        return self.data[blob.digest]


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


OLLAMA_CONFIG = ("application/vnd.docker.container.image.v1+json", {"file_type": "Q4_K_M"})
MODELPACK_CONFIG = (
    MODELPACK + "config.v1+json",
    {"descriptor": {"family": "llama", "licenses": ["MIT", "../x"]}, "config": {"quantization": "Q8_0"}},
)
DOCKER_CONFIG = (DOCKER + "model.config.v0.1+json", {"config": {"format": "gguf", "quantization": "Q4_K_M"}})


def test_ollamas_own_models_are_understood(blobs: Blobs) -> None:
    model = blobs.model(
        OLLAMA_CONFIG,
        blobs.entry(OLLAMA + "model", b"GGUF"),
        blobs.entry(OLLAMA + "template", b"{{ .Prompt }}"),
        blobs.entry(OLLAMA + "license", b"one"),
        blobs.entry(OLLAMA + "license", b"two"),
        blobs.entry(OLLAMA + "something-new", b"kept"),
    )
    assert (model.quantization, model.gguf.digest) == ("Q4_K_M", sha256_bytes(b"GGUF"))
    assert [license.name for license in model.licenses] == ["LicenseRef-1", "LicenseRef-2"]
    assert len(model.image.blobs) == 6
    assert not model.image.made


def test_a_modelpack_model_of_a_stranger_becomes_one_for_ollama(blobs: Blobs) -> None:
    model = blobs.model(
        MODELPACK_CONFIG,
        blobs.entry(MODELPACK + "doc.v1.raw", b"readme", "docs/README.md"),
        blobs.entry(MODELPACK + "weight.v1.raw", b"GGUF", "../../../etc/model.gguf"),
        blobs.entry(MODELPACK + "weight.v1.raw", b"GGUF LoRA", "x-LoRA.gguf"),
        blobs.entry(MODELPACK + "weight.config.v1.raw", b'{"stop":["x"]}', "params.json"),
        blobs.entry(MODELPACK + "doc.v1.raw", b"the license", "LICENSE"),
        blobs.entry(MODELPACK + "doc.v1.raw", b"another", "licenses/x.txt"),
    )
    manifest = json.loads(model.image.manifest)
    assert [layer["mediaType"].removeprefix(OLLAMA) for layer in manifest["layers"]] == [
        "model", "adapter", "params", "license", "license"
    ]  # fmt: skip
    config = json.loads(model.image.made[manifest["config"]["digest"]])
    assert (config["model_family"], config["file_type"]) == ("llama", "Q8_0")
    assert [license.name for license in model.licenses] == ["MIT", "LicenseRef-2"]
    assert model.readme is not None


def test_a_docker_model_is_understood(blobs: Blobs) -> None:
    model = blobs.model(DOCKER_CONFIG, blobs.entry(DOCKER + "gguf.v3", b"GGUF"))
    assert (model.quantization, model.gguf.digest) == ("Q4_K_M", sha256_bytes(b"GGUF"))


@pytest.mark.parametrize(
    "name", ["../../escape.gguf", "/etc/passwd.gguf", "a\0b.gguf", "Modelfile.gguf", "é.gguf"]
)
def test_names_of_layers_are_never_paths(name: str, blobs: Blobs, tmp_path: Path, console: Console) -> None:
    config = (MODELPACK_CONFIG[0], {"config": {"quantization": "../../x"}})
    model = blobs.model(config, blobs.entry(MODELPACK + "weight.v1.raw", b"GGUF", name))
    write_folder([model], tmp_path / "a" / "files", blobs, console)
    assert {each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*") if each.is_file()} == {
        "a/files/coder-model.gguf", "a/files/Modelfile"
    }  # fmt: skip


def test_what_is_no_model_in_one_gguf_file_is_refused(blobs: Blobs) -> None:
    weight, gguf = MODELPACK + "weight.v1.raw", blobs.entry(OLLAMA + "model", b"GGUF")
    refused: list[tuple[Any, list[dict[str, Any]], str]] = [
        (MODELPACK_CONFIG, [], "no GGUF file"),
        (MODELPACK_CONFIG, [blobs.entry(MODELPACK + "weight.v1.tar", b"tar", "x.gguf")], "an archive"),
        (
            MODELPACK_CONFIG,
            [blobs.entry(weight, b"1", "a.gguf"), blobs.entry(weight, b"2", "b.gguf")],
            "split",
        ),
        ((MODELPACK_CONFIG[0], {"config": {"format": "safetensors"}}), [], "not GGUF"),
        (OLLAMA_CONFIG, [gguf, blobs.entry(OLLAMA + "model", b"GGUF 2")], "split"),
        (
            ("application/vnd.oci.image.config.v1+json", {}),
            [gguf | {"mediaType": "a/tar"}],
            "other than a model",
        ),
    ]
    for config, layers, words in refused:
        with pytest.raises(InputError, match=words):
            blobs.model(config, *layers)


@pytest.mark.parametrize("settings", [b"[]", b"null", b"{", b'{"a":1,"a":2}', b'{"stop":"\xff"}'])
def test_parameters_that_are_no_object_are_refused(settings: bytes, blobs: Blobs) -> None:
    with pytest.raises(GateError, match="parameters"):
        blobs.model(
            OLLAMA_CONFIG, blobs.entry(OLLAMA + "model", b"G"), blobs.entry(OLLAMA + "params", settings)
        )


@pytest.mark.parametrize(
    "config", [[], None, 1, "x", {"config": 1, "descriptor": []}, {"descriptor": {"licenses": 3}}]
)
@pytest.mark.parametrize("kind", [OLLAMA_CONFIG[0], MODELPACK_CONFIG[0], DOCKER_CONFIG[0]])
def test_configs_of_any_shape_are_read_or_refused(kind: str, config: Any, blobs: Blobs) -> None:
    layers = [
        blobs.entry(OLLAMA + "model", b"GGUF") if kind == OLLAMA_CONFIG[0]
        else blobs.entry(DOCKER + "gguf.v3", b"GGUF") if kind == DOCKER_CONFIG[0]
        else blobs.entry(MODELPACK + "weight.v1.raw", b"GGUF", "a.gguf")
    ]  # fmt: skip
    try:
        assert blobs.model((kind, config), *layers).quantization == "model"
    except StarfreightError as error:
        assert "not a JSON object" in error.what
