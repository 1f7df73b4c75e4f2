"""Results of jobs are read from stores that others may write to."""

from __future__ import annotations

from fuzzing import changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.results.address import parse_address, parse_place
from starfreight.results.index import read_index
from starfreight.results.registry import ARTIFACT_TYPE, INDEX_TYPE, _read_manifest

DIGEST = "sha256:" + "1" * 64
INDEX = {
    "version": 1,
    "kind": "run",
    "name": "tiny-0123456789",
    "job": "tiny-job",
    "files": [
        {"path": "run.json", "digest": DIGEST, "size": 2, "resume": False},
        {"path": "checkpoints/checkpoint-3/weights", "digest": DIGEST, "size": 2, "resume": True},
    ],
}
MANIFEST = {
    "schemaVersion": 2,
    "artifactType": ARTIFACT_TYPE,
    "config": {"mediaType": INDEX_TYPE, "digest": DIGEST, "size": 100},
    "layers": [{"mediaType": "application/octet-stream", "digest": DIGEST, "size": 2}],
}


@fuzz
@given(changed_json(INDEX))
def test_an_index(data: bytes) -> None:
    holds(lambda: read_index(data, "here"))


@fuzz
@given(changed_json(MANIFEST))
def test_a_manifest(data: bytes) -> None:
    holds(lambda: _read_manifest(data, "here"))


@fuzz
@given(st.one_of(st.text(), st.builds("{}://{}".format, st.sampled_from(["oci", "s3", "x"]), st.text())))
def test_an_address(text: str) -> None:
    holds(lambda: parse_place(text))
    holds(lambda: parse_address(text))
