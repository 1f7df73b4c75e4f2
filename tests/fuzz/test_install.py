"""Names and addresses for installing, and manifests of models in registries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.package import Descriptor
from starfreight.packager.install.models import manifest_model
from starfreight.packager.install.ollama_address import parse_ollama_address
from starfreight.packager.install.ollama_name import parse_ollama_name
from starfreight.packager.registry.remote_manifest import parse_remote

GOLDEN = Path(__file__).parents[1] / "packager/golden"

PIECES = st.lists(
    st.sampled_from(
        ["http://", "https://", "a", "0.0.0.0", "::1", "[", "]", ":", "/", "@", "..", "é", " ", "1"]
    )
    | st.text(max_size=5),
    max_size=8,
).map("".join)


class Everything:
    """A source whose small blobs are all the same."""

    where = "registry.test/team/coder:1.0"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def path(self, blob: Descriptor) -> Path | None:
        return None

    def fetch(self, blob: Descriptor, to: Path, advance: Any) -> None:
        raise AssertionError

    def read(self, blob: Descriptor) -> bytes:
        return self._data


def test_addresses_of_ollama_from_any_pieces() -> None:
    @fuzz
    @given(text=PIECES)
    def read(text: str) -> None:
        holds(lambda: parse_ollama_address(text))

    read()


def test_names_in_ollama_from_any_pieces_stay_inside_its_store() -> None:
    @fuzz
    @given(text=PIECES)
    def read(text: str) -> None:
        def parse() -> None:
            name = parse_ollama_name(text)
            for part in (name.host, name.namespace, name.model, name.tag):
                assert part
                assert "/" not in part
                assert not part.startswith(".")

        holds(parse)

    read()


@pytest.mark.parametrize("format", ["ollama", "modelpack-2", "docker"])
def test_a_manifest_of_changed_values(format: str) -> None:
    manifest = json.loads((GOLDEN / f"{format}-manifest.json").read_text())
    config = (GOLDEN / f"{format}-config.json").read_bytes()

    @fuzz
    @given(data=changed_json(manifest))
    def read(data: bytes) -> None:
        def parse() -> None:
            model = manifest_model(parse_remote(data, "here"), "coder", Everything(config))
            assert "/" not in model.quantization
            json.loads(model.image.manifest)

        holds(parse)

    read()


@pytest.mark.parametrize("format", ["ollama", "modelpack-2", "docker"])
def test_a_config_of_changed_values(format: str) -> None:
    manifest = (GOLDEN / f"{format}-manifest.json").read_bytes()
    config = json.loads((GOLDEN / f"{format}-config.json").read_text())

    @fuzz
    @given(data=changed_json(config))
    def read(data: bytes) -> None:
        holds(lambda: manifest_model(parse_remote(manifest, "here"), "coder", Everything(data)))

    read()
