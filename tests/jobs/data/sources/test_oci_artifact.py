"""Addresses and manifests of artifacts: those that are read, and clear errors for others; no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError, RecipeError
from starfreight.jobs.data.sources import check_source
from starfreight.jobs.data.sources.oci_artifact import read_artifact
from starfreight.recipe import Data

HEX = "0123456789abcdef" * 4
TITLE = "org.opencontainers.image.title"
PATH = "org.cncf.model.filepath"
PLAIN = "application/octet-stream"
DATASET = "application/vnd.cncf.model.dataset.v1."


def layer(media_type: str = PLAIN, size: Any = 1, **annotations: Any) -> dict[str, Any]:
    named = {{"title": TITLE, "path": PATH, "unpack": "io.deis.oras.content.unpack"}[key]: value
             for key, value in annotations.items()}  # fmt: skip
    return {"mediaType": media_type, "digest": f"sha256:{HEX}", "size": size, "annotations": named}


def manifest(*layers: Any, **more: Any) -> bytes:
    return json.dumps(
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers}
        | more
    ).encode()


@pytest.mark.parametrize(
    "address",
    ["ghcr.io/acme/data", "localhost:5000/data", "10.0.0.1:80/a/b/c/d.e", "docker.io/a/b__c"],
)
def test_a_digest_makes_an_address(address: str, tmp_path: Path) -> None:
    check_source(Data(source=f"oci://{address}@sha256:{HEX}"), tmp_path)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ghcr.io/acme/data", "no digest"),
        ("ghcr.io/acme/data:1.0", "no digest"),
        (f"ghcr.io/acme/data:1.0@sha256:{HEX}", "a tag and a digest"),
        (f"ghcr.io/acme/data@sha256:{HEX.upper()}", "the digest"),
        (f"ghcr.io/acme/data@sha512:{HEX}", "the digest"),
        ("ghcr.io/acme/data@sha256:12", "the digest"),
        (f"ghcr.io@sha256:{HEX}", "a user name or a password"),
        (f"ghcr.io/@sha256:{HEX}", "no host or no path"),
        (f"ghcr.io/../data@sha256:{HEX}", "the part '..'"),
        (f"ghcr.io//data@sha256:{HEX}", "the part ''"),
        (f"ghcr.io/acme/data?x@sha256:{HEX}", "the part 'data"),
        (f"ghcr.io/Acme/data@sha256:{HEX}", "the part 'Acme'"),
        (f"[::1]:5000/acme/data@sha256:{HEX}", "the host"),
        (f"ghcr.io:99999/acme/data@sha256:{HEX}", "the port"),
        (f"ghcr.io/{'a' * 256}@sha256:{HEX}", "characters"),
    ],
)
def test_any_other_address_is_refused(address: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        check_source(Data(source=f"oci://{address}"), tmp_path)
    assert "key data.source" in str(caught.value.where)


def test_a_tag_is_answered_with_how_to_find_the_digest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        check_source(Data(source="oci://ghcr.io/acme/data:1.0"), tmp_path)
    assert "oras resolve" in str(caught.value.fix)


def test_a_password_in_the_address_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        check_source(Data(source=f"oci://ann:hunter2@ghcr.io/acme/data@sha256:{HEX}"), tmp_path)
    assert "hunter2" not in str(caught.value.as_dict())


def test_a_revision_beside_the_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="revision"):
        check_source(Data(source=f"oci://ghcr.io/acme/data@sha256:{HEX}", revision="1" * 40), tmp_path)


def test_titles_name_files() -> None:
    data = manifest(layer(title="src/a.py"), layer("application/vnd.oci.image.layer.v1.tar", title="b.tar"))
    assert [each.name for each in read_artifact(data, "x")] == ["src/a.py", "b.tar"]


def test_of_a_model_pack_the_dataset_layers_are_read_and_the_files_come_first() -> None:
    data = manifest(
        layer("application/vnd.cncf.model.weight.v1.raw", path="model.safetensors"),
        layer(DATASET + "tar", path="data"), layer(DATASET + "raw", path="data/b.jsonl"),
    )  # fmt: skip
    assert [each.name for each in read_artifact(data, "x")] == ["data/b.jsonl", None]


@pytest.mark.parametrize("field", ["title", "path"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/etc/passwd", "absolute"), ("../x", "'..'"), ("a/../../x", "'..'"), ("./a", "'.'"),
        ("a//b", "empty part"),
        ("a\\b", "backslash"), ("a\u001b[2J", "cannot be printed"), ("a\0b", "cannot be printed"),
        ("a\ud800", "cannot be printed"), ("", "empty"), ("a" * 2000, "very long"),
        ("\u00e9" * 200, "long part"),
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused(field: str, name: str, said: str) -> None:
    kind = PLAIN if field == "title" else DATASET + "raw"
    with pytest.raises(InputError, match=said) as caught:
        read_artifact(manifest(layer(kind, **{field: name})), "x")
    assert caught.value.what.isprintable()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an OCI manifest"),
        (manifest(mediaType="application/vnd.docker.distribution.manifest.v2+json"), "docker.distribution"),
        (manifest(mediaType="application/vnd.oci.image.index.v1+json", manifests=[]), "an index"),
        (manifest(layer(title="a"), manifests=[]), "an index"),
        (manifest(), "no layers"),
        (manifest(layers={}), "no layers"),
        (manifest("a"), "a layer that is not an object"),
        (manifest(layer()), "without the annotation"),
        (manifest(layer(title=7)), "without the annotation"),
        (manifest({"mediaType": PLAIN, "annotations": {TITLE: "a"}}), "valid type"),
        (manifest(layer(size=-1, title="a")), "valid type"),
        (manifest(layer(size="1", title="a")), "valid type"),
        (manifest({**layer(title="a"), "digest": "sha256:../../x"}), "valid type"),
        (manifest(layer(title="a"), layer(title="a")), "twice"),
        (manifest(layer(title="a"), layer(title="a/b")), "as a file and as a directory"),
        (manifest(layer("application/vnd.oci.image.layer.v1.tar+gzip", title="src")), "compressed"),
        (manifest(layer(title="src", unpack="true")), "compressed"),
        (manifest(layer(DATASET + "tar+gzip")), "which is not supported"),
        (manifest(layer(DATASET + "tar+zstd")), "which is not supported"),
        (manifest(layer(DATASET + "raw")), "without the annotation"),
    ],
)
def test_a_manifest_of_anything_else_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_artifact(data, "x")


LAYER = json.dumps(layer(title="pairs.jsonl"))


@pytest.mark.parametrize(
    "text",
    [
        f'{{"layers": [], "layers": [{LAYER}]}}',
        f'{{"layers": [{LAYER}], "Layers": []}}',
        f'{{"Layers": [{LAYER}]}}',
        f'{{"layers": [{LAYER}], "MediaType": "application/vnd.oci.image.index.v1+json"}}',
        f'{{"layers": [{LAYER[:-1]}, "Digest": "sha256:{HEX}"}}]}}',
        f'{{"layers": [{LAYER}], "schemaVersion": NaN}}',
        f'\ufeff{{"layers": [{LAYER}]}}',
    ],
)
def test_a_manifest_that_other_clients_read_differently_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not JSON that all clients read alike"):
        read_artifact(text.encode(), "here")
