"""Policy files, which firms hand to each other."""

from __future__ import annotations

from pathlib import Path

from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given

from starfreight.packager.provenance.policy import load_policy

EXAMPLE = Path(__file__).parents[2] / "examples/policies/quickstart.yaml"
VALID = {
    "version": 1,
    "signers": {
        "keys": ["acme.pub"],
        "identities": [{"identity": "a**", "issuer": "b", "claims": {"build_trigger": "push"}}],
        "trusted_root": "root.json",
    },
    "bases": [{"name": "bigcode/*", "revision": "a" * 40}],
    "licenses": {"model": ["MIT"], "data": ["MIT"]},
    "figures": [{"suite": "fim", "figure": "exact_match", "at_least": 0.4}],
    "builders": [{"id": "https://x", "images": ["sha256:" + "a" * 64]}],
    "data": {"sources": ["./src"], "opt_out": "opt-out.txt"},
    "require": {"signed": True, "not_older_than": "180d"},
}


def load(folder: Path, data: bytes) -> None:
    path = folder / "policy.yaml"
    path.write_bytes(data)
    holds(lambda: load_policy(path))


@fuzz
@given(data=changed_json(VALID))
def test_a_changed_policy(folder: Path, data: bytes) -> None:
    load(folder, data)


@fuzz
@given(data=changed_bytes(EXAMPLE.read_bytes()))
def test_changed_bytes_of_a_policy(folder: Path, data: bytes) -> None:
    load(folder, data)
