"""Manifests, lists of tags, and requests to the read-only registry."""

from __future__ import annotations

import contextlib
import json
import sys

import yaml
from fuzzing import changed_json, fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.base_artifact import read_base_manifest
from starfreight.jobs.data.push.rewrite_recipe import replace_values
from starfreight.packager.registry.remote_manifest import parse_remote
from starfreight.packager.serve.byte_ranges import parse_range
from starfreight.packager.serve.listen_address import known_names, parse_listen
from starfreight.registry.media_types import OCI_MANIFEST
from starfreight.registry.tag_list import names_in

BLOB = {"mediaType": "a/b", "digest": "sha256:" + "0" * 64, "size": 1}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": OCI_MANIFEST,
    "config": BLOB,
    "layers": [
        {**BLOB, "annotations": {"org.opencontainers.image.title": "config.json"}},
        {**BLOB, "annotations": {"org.opencontainers.image.title": "model.safetensors"}},
    ],
    "subject": BLOB,
}
RECIPE = """\
# mine
data:
  - source: ./code   # here
    license: MIT
  - {format: code, source: "./more"}
"""


@fuzz
@given(changed_json(MANIFEST))
def test_a_manifest_of_changed_values(data: bytes) -> None:
    holds(lambda: parse_remote(data, "here"))
    holds(lambda: read_base_manifest(data, "here"))


@fuzz
@given(changed_json({"name": "a/b", "tags": ["1.0", "latest"]}))
def test_a_list_of_tags_of_changed_values(data: bytes) -> None:
    holds(lambda: names_in(data, "here"))


@fuzz
@given(st.text(alphabet="bytes=-, 0123456789", max_size=60), st.integers(0, sys.maxsize))
def test_a_range(text: str, size: int) -> None:
    with contextlib.suppress(ValueError):
        found = parse_range(text, size)
        assert found is None or 0 <= found.start < found.end <= size


@fuzz
@given(st.one_of(texts, st.text(alphabet="0123456789.:[]af-", max_size=30)))
def test_an_address_to_listen_at(text: str) -> None:
    def use() -> None:
        listen = parse_listen(text)
        assert known_names(listen, listen.port)

    holds(use)


@fuzz
@given(st.lists(st.sampled_from(list("\n\t :-#'\"[]{}ä>|&*!")), max_size=4), st.integers(0, len(RECIPE)))
def test_a_recipe_of_any_layout_keeps_its_other_values(added: list[str], at: int) -> None:
    text = RECIPE[:at] + "".join(added) + RECIPE[at:]
    try:
        before = yaml.safe_load(text)["data"]
        valid = all(isinstance(each["source"], str) for each in before[:2]) and len(before) > 1
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        return
    if not valid or "&" in text or "*" in text or "!" in text:
        return  # Recipes have no anchors and no tags.
    new = {("data", number, "source"): f"oci://h/a/b@sha256:{number:064}" for number in range(2)}
    after = yaml.safe_load(replace_values(text, new, "here"))["data"]
    for number, each in enumerate(before):
        expected = {**each, "source": new.get(("data", number, "source"), each.get("source"))}
        assert json.dumps(after[number], default=str) == json.dumps(expected, default=str)
