"""Base models in a registry: fetched whole, verified, and only the files of a model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import oras.client
import pytest
from servers import Server

from starfreight.base_artifact import cached_base, read_base_manifest
from starfreight.base_model import local_base, locate_base
from starfreight.checkpoint import checkpoint_files
from starfreight.console import Console
from starfreight.errors import GateError, InputError, RecipeError
from starfreight.files import sha256_file
from starfreight.jobs.backends.kubernetes.manifests.render import render
from starfreight.jobs.backends.kubernetes.manifests.versions import NEWEST, version_text
from starfreight.jobs.data.push import push_recipe
from starfreight.jobs.data.push.base_files import base_files
from starfreight.recipe import Base, load_recipe

LAYER = {"mediaType": "a/b", "digest": "sha256:" + "0" * 64, "size": 1}


pytestmark = pytest.mark.usefixtures("model_cache")


def test_a_plan_needs_the_configuration_only(
    pushed_base: str, bases: Any, model_cache: Path, tmp_path: Path
) -> None:
    assert cached_base(pushed_base, weights=True) is None
    small = locate_base(Base(model=pushed_base), tmp_path, ("config.json",))
    assert not list(small.glob("*.safetensors"))
    assert local_base(Base(model=pushed_base), tmp_path) is None
    whole = locate_base(Base(model=pushed_base), tmp_path)
    assert {path.name: sha256_file(path) for path in checkpoint_files(whole)} == {
        path.name: sha256_file(path) for path in checkpoint_files(bases["starcoder2"])
    }
    assert local_base(Base(model=pushed_base), tmp_path) == whole


def test_a_model_pushed_by_oras_is_read(
    registry: Server, repository: str, bases: Any, tmp_path: Path
) -> None:
    folder = shutil.copytree(bases["starcoder2"], tmp_path / "model")
    (folder / "README.md").write_text("# The base\n")
    (folder / "train.py").write_text("raise SystemExit\n")
    client = oras.client.OrasClient(hostname=registry.host, insecure=True)
    answer = client.push(
        target=f"{registry.host}/{repository}:1.0",
        files=[str(path) for path in folder.iterdir()],
        disable_path_validation=True,
    )
    digest = answer.headers["Docker-Content-Digest"]
    found = locate_base(Base(model=f"oci://{registry.host}/{repository}@{digest}"), tmp_path)
    names = {path.name for path in found.iterdir()}
    assert {"model.safetensors", "README.md"} <= names
    assert "train.py" not in names


def test_a_base_is_pushed_with_its_documents(bases: Any, console: Console, tmp_path: Path) -> None:
    folder = shutil.copytree(bases["starcoder2"], tmp_path / "model")
    for name in ("README.md", "NOTICE.txt", "USE_POLICY.md", "train.py", "notes.md"):
        (folder / name).write_text(name)
    files = {each.name: each.layer.media_type for each in base_files(folder, console)}
    assert {name for name in files if files[name] == "application/vnd.cncf.model.doc.v1.raw"} >= {
        "README.md", "NOTICE.txt", "USE_POLICY.md",
    }  # fmt: skip
    assert not {"train.py", "notes.md"} & files.keys()
    (folder / "AUTHORS").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="leads out of the model's directory"):
        base_files(folder, console)


def test_a_pushed_recipe_needs_no_volume_in_a_cluster(
    registry: Server, repository: str, write_job: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    recipe, written = write_job(), tmp_path / "cluster.yaml"
    image = f"registry.test/trainer@sha256:{'1' * 64}"

    def rendered(path: Path) -> str:
        file = load_recipe(path).with_run_options(where="kubernetes", image=image, gpus=0)
        return render(file, version=version_text(NEWEST)).as_yaml()

    with pytest.raises(RecipeError, match=r"directory|volume|claim"):
        rendered(recipe)
    push_recipe(
        recipe, f"oci://{registry.host}/{repository}", insecure=True, with_secrets=False, write=written,
        console=console,
    )  # fmt: skip
    assert "starfreight.jobs.data.fetch" in rendered(written)


def test_wrong_bytes_never_become_a_model(
    pushed_base: str, registry: Server, bases: Any, model_cache: Path, tmp_path: Path
) -> None:
    blob = registry.blob(sha256_file(bases["starcoder2"] / "model.safetensors"))
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    with pytest.raises(GateError):
        locate_base(Base(model=pushed_base), tmp_path)
    assert cached_base(pushed_base, weights=True) is None
    data[-1] ^= 1
    blob.write_bytes(data)
    assert locate_base(Base(model=pushed_base), tmp_path).is_dir()


@pytest.mark.parametrize(
    "base",
    [
        {"model": "oci://host.test/a/b:1.0"},
        {"model": "oci://host.test/a/b"},
        {"model": "oci://host.test/a/b@sha256:00"},
        {"model": "oci://user:tell-tale@host.test/a/b@sha256:" + "0" * 64},
        {"model": "oci://host.test/a/b@sha256:" + "0" * 64, "revision": "0" * 40},
    ],
)
def test_references_that_cannot_be(base: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as refused:
        locate_base(Base(**base), tmp_path)
    assert "tell-tale" not in str(refused.value)


def test_a_missing_artifact_is_one_error(registry: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        locate_base(Base(model=f"oci://{registry.host}/team/none@sha256:{'0' * 64}"), tmp_path)


@pytest.mark.parametrize(
    "layers",
    [
        None, 3, [], [3], [None], [{}], [{"annotations": 3}],
        [{"annotations": {"org.opencontainers.image.title": "config.json"}}],
        [{**LAYER, "annotations": {"org.opencontainers.image.title": name}} for name in ("config.json",)],
        [{**LAYER, "annotations": {"org.opencontainers.image.title": name}}
         for name in ("config.json", "CONFIG.json", "model.safetensors")],
        [{**LAYER, "annotations": {"org.opencontainers.image.title": name}}
         for name in ("../config.json", "/model.safetensors", "a/config.json", ".json", "m.safetensors\n")],
        [{**LAYER, "size": -1, "annotations": {"org.opencontainers.image.title": "config.json"}}],
    ],
)  # fmt: skip
def test_hostile_manifests_are_refused(layers: Any) -> None:
    with pytest.raises(InputError, match="The manifest of the base model"):
        read_base_manifest(json.dumps({"layers": layers}).encode(), "here")
    for data in (b"", b"[]", b"[" * 100_000, b"\xff"):
        with pytest.raises(InputError):
            read_base_manifest(data, "here")
