"""An image without the kind of job is refused: by its labels before, by its program in the pod."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.files import sha256_bytes
from starfreight.image import LABEL_IMAGE, LABEL_KINDS, LABEL_PROTOCOL, PROTOCOL
from starfreight.images.catalogue import find_source
from starfreight.jobs.backends.docker.image import ENTRYPOINT, check_image
from starfreight.jobs.backends.image_kinds import check_image_labels
from starfreight.jobs.backends.kubernetes.client.image_labels import check_image as check_in_registry
from starfreight.jobs.backends.kubernetes.client.image_labels import read_labels
from starfreight.jobs.kinds.table import all_kinds, find_kind

TRAIN = find_kind("train")
LABELS = {LABEL_IMAGE: "trainer", LABEL_PROTOCOL: str(PROTOCOL)}
OCI = "application/vnd.oci.image."


def test_the_dockerfiles_name_every_kind_that_runs_in_them() -> None:
    for name in ("trainer", "packager"):
        text = (find_source(name).folder / "Dockerfile").read_text()
        kinds = " ".join(kind.name for kind in all_kinds() if kind.image == name)
        assert f'{LABEL_KINDS}="{kinds}"' in text


@pytest.mark.parametrize("more", [{}, {LABEL_KINDS: "train"}, {LABEL_KINDS: "evaluate train"}])
def test_an_image_with_the_kind_or_without_the_label_will_do(more: dict[str, str]) -> None:
    check_image_labels(LABELS | more, TRAIN, "acme/trainer")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({}, "not a trainer image"),
        ({LABEL_IMAGE: "packager", LABEL_PROTOCOL: "2"}, "is a packager image"),
        ({LABEL_IMAGE: "packager", LABEL_KINDS: ""}, "cannot run jobs"),
        ({**LABELS, LABEL_KINDS: "evaluate"}, "which can only evaluate"),
        ({**LABELS, LABEL_KINDS: "training"}, "which can only training"),
        ({**LABELS, LABEL_PROTOCOL: "1"}, "has protocol 1"),
    ],
)
def test_another_image_is_refused(labels: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check_image_labels(labels, TRAIN, "acme/trainer")
    assert caught.value.exit_code == 2
    assert "starfreight images build trainer" in str(caught.value.fix)


def test_docker_makes_the_same_check() -> None:
    config = {"Labels": {**LABELS, LABEL_KINDS: "evaluate"}, "Entrypoint": ENTRYPOINT}
    with pytest.raises(InputError, match="cannot do this kind of job, train"):
        check_image({"Config": config}, TRAIN, "acme/trainer", "amd64")


def push(registry: Any, labels: dict[str, str] | None, *, index: bool = False) -> str:
    """Puts an image without layers into a registry, and returns its reference."""
    import requests

    name = f"{registry.url}/v2/acme/trainer"

    def blob(data: bytes) -> dict[str, Any]:
        digest = sha256_bytes(data)
        where = requests.post(f"{name}/blobs/uploads/", timeout=10).headers["Location"]
        requests.put(where, params={"digest": digest}, data=data, timeout=10).raise_for_status()
        return {"mediaType": f"{OCI}config.v1+json", "digest": digest, "size": len(data)}

    def manifest(kind: str, **body: Any) -> dict[str, Any]:
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, **body}).encode()
        digest = sha256_bytes(data)
        requests.put(
            f"{name}/manifests/{digest}", data=data, headers={"Content-Type": kind}, timeout=10
        ).raise_for_status()
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": labels}}).encode())
    made = manifest(f"{OCI}manifest.v1+json", config=config, layers=[])
    if index:
        platform = {"platform": {"os": "linux", "architecture": "amd64"}}
        made = manifest(f"{OCI}index.v1+json", manifests=[{**made, **platform}])
    return f"{registry.host}/acme/trainer@{made['digest']}"


@pytest.mark.usefixtures("plain_environment")
class TestRegistry:
    @pytest.mark.parametrize("index", [False, True])
    def test_the_labels_of_an_image_in_a_registry_decide(self, registry: Any, index: bool) -> None:
        able = push(registry, {**LABELS, LABEL_KINDS: "train"}, index=index)
        assert check_in_registry(able, TRAIN)
        unable = push(registry, {**LABELS, LABEL_KINDS: "evaluate"}, index=index)
        with pytest.raises(InputError, match="cannot do this kind of job, train"):
            check_in_registry(unable, TRAIN)
        with pytest.raises(InputError, match="not a trainer image"):
            check_in_registry(push(registry, None, index=index), TRAIN)

    def test_an_image_that_cannot_be_read_is_left_to_the_pod(self, registry: Any, free_port: Any) -> None:
        nothing = f"sha256:{'0' * 64}"
        for reference in (
            f"{registry.host}/acme/trainer@{nothing}",
            f"127.0.0.1:{free_port()}/acme/trainer@{nothing}",
            f"registry.invalid/acme/trainer@{nothing}",
            "not a reference",
        ):
            assert read_labels(reference) is None


def test_a_pod_whose_image_lacks_the_kind_says_so_once_and_is_not_retried(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "starfreight.jobs.backends.kubernetes.entrypoint",
         "distil", "recipe.yaml", "--runs", str(tmp_path), "--name", "coder"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["what"].startswith(
        "The image cannot do this kind of job: 'distil'. It can do: train"
    )
    assert done.stderr == ""


def test_a_pod_whose_image_lacks_a_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from starfreight.jobs.backends.kubernetes import abilities

    monkeypatch.setattr(type(TRAIN), "libraries", ("torch", "a_library_of_tomorrow"))
    with pytest.raises(InputError, match="lacks a_library_of_tomorrow, which training needs"):
        abilities.check_abilities("train")
