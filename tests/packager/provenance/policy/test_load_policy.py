"""Policy files: each wrong key has one error with a hint; files outside their directory are not read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fuzzing import holds

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError, StarfreightError
from starfreight.packager.provenance.policy import Policy, load_policy
from starfreight.packager.provenance.policy.schema import (
    SCHEMA_FILE,
    policy_reference,
    policy_schema,
    with_reference,
)
from starfreight.packager.provenance.signing.local_key import LocalKey
from starfreight.packager.provenance.trust import Trust
from starfreight.packager.provenance.verify.verify_package import verify_package
from starfreight.recipe.yaml import parse_yaml

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "examples/policies/quickstart.yaml"
ISSUER = "https://token.actions.githubusercontent.com"
FULL = {
    "version": 1,
    "signers": {
        "keys": ["acme.pub"],
        "identities": [
            {"identity": "https://github.com/acme/**", "issuer": ISSUER, "claims": {"build_trigger": "push"}}
        ],
    },
    "bases": [{"name": "bigcode/*", "revision": "a" * 40, "digest": "sha256:" + "a" * 64}],
    "licenses": {"model": ["MIT"], "data": ["MIT", "Apache-2.0"]},
    "figures": [{"suite": "fim", "figure": "exact_match", "not_below": "F16", "within": 0.02}],
    "builders": [{"id": "https://x", "images": ["sha256:" + "a" * 64], "workflow": "https://github.com/**"}],
    "data": {
        "sources": ["./src"], "forbidden_sources": ["git:*"], "forbidden_repositories": ["a/*"],
        "opt_out": "opt-out.txt", "manifest": True,
    },
    "require": {
        "signed": True, "bom": True, "evaluation": True, "source_commit": True, "not_older_than": "180d",
    },
}  # fmt: skip
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"version": 2}, "version 2", "upgrade"),
    ({"version": None}, "'version'", ""),
    ({"licences": {}}, "'licences'", "'licenses'"),
    ({"signers": {}}, "keys or identities", ""),
    ({"signers": {"key": ["a"]}}, "'signers.key'", "'keys'"),
    ({"signers": {"keys": ["a"], "trusted_root": "r"}}, "trusted_root without identities", ""),
    ({"signers": {"identities": [{}]}}, "needs an identity or claims", ""),
    ({"signers": {"identities": [{"claims": {"repository": "a"}}]}}, "unknown claim 'repository'", ""),
    ({"signers": {"identities": [{"identity": "a"}]}}, "needs its issuer", "--issuer"),
    ({"bases": []}, "'bases'", ""),
    ({"bases": [{"name": "a", "revision": "main"}]}, "revision", ""),
    ({"bases": [{"name": "a", "digset": "b"}]}, "'bases[0].digset'", "'digest'"),
    ({"licenses": {"data": "MIT"}}, "'licenses.data'", ""),
    ({"licenses": {"modell": ["MIT"]}}, "'licenses.modell'", "'model'"),
    ({"figures": [{"suite": "fim", "figure": "x"}]}, "exactly one of", ""),
    ({"builders": [{}]}, "needs an id, images or a workflow", ""),
    ({"builders": [{"images": ["latest"]}]}, "images", ""),
    ({"data": {"opt_out": "/etc/passwd"}}, "outside of its directory", "beside"),
    ({"data": {"sources": [""]}}, "sources", ""),
    ({"data": {"sources": ["a\x1b[2J"]}}, "control characters", ""),
    ({"require": {"sined": True}}, "'require.sined'", "'signed'"),
    ({"require": {"signed": "yes"}}, "'require.signed'", ""),
    ({"require": {"not_older_than": "180"}}, "unit", ""),
]


@pytest.mark.parametrize(("sections", "words", "hint"), WRONG, ids=[str(each[0])[:50] for each in WRONG])
def test_a_wrong_key_is_named_with_a_hint(
    sections: dict[str, Any], words: str, hint: str, make_policy: Callable[..., Policy]
) -> None:
    with pytest.raises((InputError, RecipeError)) as caught:
        make_policy(**sections)
    assert words in caught.value.what and hint in str(caught.value.fix), str(caught.value)
    assert "policy.yaml" in str(caught.value.where) and "recipe" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"1", b"version: 1\nversion: 1\n", b"a: &a [1]\nb: *a\n", b"\xff", b"{" * 5000,
        b"version: 1\nbases: !!python/object/apply:os.system [id]\n", b"version: .inf", b"? [a]\n: b\n",
        b"x" * (2 << 20), b"version: 99999999999999999999999",
    ],
)  # fmt: skip
def test_garbage_is_one_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_bytes(content)

    def load() -> None:
        with pytest.raises(StarfreightError) as caught:
            load_policy(path)
        assert caught.value.exit_code == 2

    holds(load)


def test_all_keys_are_read(make_policy: Callable[..., Policy], key: LocalKey, tmp_path: Path) -> None:
    (tmp_path / "opt-out.txt").write_text("owner/name\n")
    policy = make_policy(**FULL)
    assert [each.name for each in policy.trust.keys] == ["acme.pub"]
    assert policy.trust.rooted[0].identities[0].claims == {"build_trigger": "push"}
    assert policy.opt_out is not None and policy.opt_out.match(None, None, "owner/name")
    assert policy.digest.startswith("sha256:") and policy.file.require is not None
    assert policy.file.require.not_older_than == 180 * 86400


def test_files_are_read_from_the_policys_directory_alone(
    make_policy: Callable[..., Policy], tmp_path: Path
) -> None:
    (tmp_path / "fifo").parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("/etc/passwd", "../acme.pub", "link", "a\\0b", "missing", "fifo", "."):
        with pytest.raises(InputError) as caught:
            make_policy(signers={"keys": [name]})
        assert "root:" not in str(caught.value)
    with pytest.raises(InputError, match="does not exist"):
        make_policy(data={"opt_out": "missing"})
    with pytest.raises(InputError, match="outside"):
        make_policy(signers={"identities": [{"identity": "a", "issuer": "b"}], "trusted_root": "/etc/passwd"})
    with pytest.raises(InputError, match="public key cannot be read"):
        make_policy(signers={"keys": ["-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"]})


def test_the_schema_and_the_reference_are_generated_from_the_models() -> None:
    assert json.loads(SCHEMA_FILE.read_bytes()) == policy_schema(), "run: make schema"
    page = (ROOT / "docs/policy.md").read_text()
    assert page == with_reference(page) and page.endswith(policy_reference()), "run: make schema"


def test_the_schema_accepts_what_the_models_accept() -> None:
    schema = json.loads(SCHEMA_FILE.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(FULL)
    validator.validate(parse_yaml(EXAMPLE.read_text(), "example"))
    for change in ({"licences": {}}, {"bases": []}, {"version": 2}, {"require": {"not_older_than": 3}}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(FULL | change)


def test_the_example_is_met_by_a_package_of_the_quickstarts_kind(built: Path, console: Console) -> None:
    policy = load_policy(EXAMPLE)
    verdict = verify_package(str(built), console, trust=Trust(), policy=policy)
    (found,) = [each for each in verdict.results if each.name == "policy"]
    refused = {str(each.data["key"]) for each in found.findings if each.level == "refused"}
    assert refused == {"bases", "licenses.model"}, "a tiny base under MIT, but nothing else"
    assert verdict.policy == policy.digest
