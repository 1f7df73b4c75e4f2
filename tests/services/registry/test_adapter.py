"""Variants beside a shared base: what a second one costs a registry and who pulls it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from starfreight.console import Console
from starfreight.files import sha256_bytes
from starfreight.gguf.local_model import LocalModel
from starfreight.packager.layout import verify_layout
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.press import LoraRequest, ModelIdentity, PressRequest, press, press_lora
from starfreight.packager.registry.push import publish

ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.ollama.image."


@pytest.fixture
def base(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path / "base", hidden=256, ffn=512, layers=4, dtype="F32")


@pytest.fixture
def make_variant(
    base: Path, make_adapter: Callable[..., Path], make_contents: Callable[..., PackageContents],
    tmp_path: Path, console: Console,
) -> Callable[..., Path]:  # fmt: skip
    """Makes a package of the shared base and an adapter that is scaled by ``alpha``."""

    def make(name: str, alpha: float) -> Path:
        weights = {f"model.layers.{layer}.mlp.c_fc.weight": (512, 256) for layer in range(4)}
        adapter = make_adapter(tmp_path / f"{name}-adapter", weights, alpha=alpha)
        work = tmp_path / f"{name}-work"
        lora = press_lora(LoraRequest(base, adapter, work, name), console)
        (file,) = press(PressRequest(base, None, ("F32",), work, f"{name}-base", ModelIdentity("")), console)
        contents = make_contents(name=name, files=(file,), default=file.quantization, adapter=lora)
        write_package(tmp_path / name, contents, console)
        verify_layout(tmp_path / name, console)
        # What the same adapter gives when it is merged, to compare with.
        press(PressRequest(base, adapter, ("F32",), work, "merged"), console)
        return tmp_path / name

    return make


def pull(url: str, repository: str, tag: str, store: dict[str, bytes]) -> dict[str, str]:
    """What Ollama does: the manifest, then each blob that the store lacks, by its ``Location``."""
    answer = requests.get(f"{url}/v2/{repository}/manifests/{tag}", headers={"Accept": ACCEPT}, timeout=10)
    manifest = answer.json()
    assert manifest["mediaType"] == ACCEPT
    for part in (manifest["config"], *manifest["layers"]):
        if part["digest"] in store:
            continue
        head = requests.get(f"{url}/v2/{repository}/blobs/{part['digest']}", timeout=10, stream=True)
        location = head.headers["Location"]
        head.close()
        data = requests.get(location, headers={"Range": f"bytes=0-{part['size'] - 1}"}, timeout=10).content
        assert sha256_bytes(data) == part["digest"]
        store[part["digest"]] = data
    return {layer["mediaType"].removeprefix(LAYER): layer["digest"] for layer in manifest["layers"]}


def test_a_second_variant_of_a_base_costs_its_adapter_only(
    gateway: Any, repository: str, make_variant: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    sent, pulled, store = [], [], dict[str, bytes]()
    for name, alpha in (("one", 8), ("other", 32)):
        folder = make_variant(name, alpha)
        published = publish(folder, f"{gateway.host}/{repository}:{name}", insecure=True, console=console)
        sent.append(published.bytes_sent)
        before = sum(map(len, store.values()))
        layers = pull(gateway.url, repository, name, store)
        pulled.append(sum(map(len, store.values())) - before)
        files = {}
        for kind in ("model", "adapter"):
            files[kind] = tmp_path / f"{name}-{kind}.gguf"
            files[kind].write_bytes(store[layers[kind]])
        likely = []
        for gguf, adapter in (
            (files["model"], files["adapter"]),
            (tmp_path / f"{name}-work" / "merged-F32.gguf", None),
            (files["model"], None),
        ):
            with LocalModel(gguf, adapter=adapter, threads=1) as model:
                likely.append(model.next_tokens([5, 90, 1, 100, 350, 60, 3, 77], 400))
        beside, alone = (
            max(abs(found[token] - likely[1][token]) for token in likely[1]) for found in likely[::2]
        )
        assert beside < 0.02 and alone > 10 * beside
        size = files["model"].stat().st_size
    assert sent[0] > size > 5_000_000
    assert pulled[0] > size
    assert sent[1] < 100_000
    assert pulled[1] < 100_000
