"""The examples of kubernetes/admission fit their CRDs, each other, the docs and the packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from manifest_checks import faults

from starfreight.packager.provenance.statement import PREDICATE_TYPE
from starfreight.packager.provenance.withdrawal.statement import WITHDRAWAL
from starfreight.packager.training_method import TRAINING_METHODS

FOLDER = Path(__file__).parents[2] / "kubernetes/admission"
DOCS = Path(__file__).parents[2] / "docs/admission.md"
FILES = sorted(FOLDER.glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def values(value: Any, key: str) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name == key:
                yield each
            yield from values(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from values(each, key)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_fits_its_schema(path: Path) -> None:
    for each in documents(path):
        assert faults(each) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(unknown=1),
        lambda spec: spec["authorities"][0].update(signatureFormats="bundle"),
        lambda spec: spec["authorities"][0]["keyless"].update(identities="x"),
    ],
)
def test_a_wrong_field_is_found(change: Callable[[dict[str, Any]], object]) -> None:
    (policy,) = documents(FOLDER / "policy-controller-sigstore.yaml")
    change(policy["spec"])
    assert faults(policy)


def test_docs_name_every_example_and_its_values() -> None:
    text = DOCS.read_text()
    assert {path.name for path in FILES} == set(
        re.findall(r"`((?:policy-controller|kyverno)-[a-z-]+\.yaml)`", text)
    )
    for path in FILES:
        policy = documents(path)
        for name in ("issuer", "subjectRegExp"):
            assert all(each in text for each in values(policy, name)), path.name
        if "keyless" not in path.read_text():
            (key,) = (each for each in values(policy, "data") if "PUBLIC KEY" in each)
            assert key == next(
                each for each in values(documents(FILES[0].with_name("kyverno-key.yaml")), "data")
            )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_policies_accept_tagged_workflows_and_no_others(path: Path) -> None:
    workflow = "https://github.com/acme/coder/.github/workflows/train.yml@refs/"
    for pattern in values(documents(path), "subjectRegExp"):
        assert re.search(pattern, workflow + "tags/v1.0")
        for wrong in (
            workflow + "heads/main",
            "https://evil.example/" + workflow + "tags/v1.0",
            "https://github.com/acme/coder-fork/.github/workflows/train.yml@refs/tags/v1",
            "https://githubxcom/acme/coder/.github/workflows/train.yml@refs/tags/v1",
        ):
            assert not re.search(pattern, wrong), wrong


def test_policies_with_bundles_require_the_provenance_of_this_builder() -> None:
    build_types = [method.build_type for method in TRAINING_METHODS.values()]
    for path in FILES:
        text = path.read_text()
        if path.stem == "policy-controller-key":
            assert "signatureFormat: legacy" in text  # The only form that it reads with keys.
            continue
        assert PREDICATE_TYPE in text
        pattern = re.search(r'"(\^https://starfreight[^"]+)"', text)
        assert pattern is not None, path.name
        expression = pattern[1].replace("\\\\", "\\")
        assert all(re.search(expression, each) for each in build_types), path.name
        assert not re.search(expression, "urn:starfreight:build:qlora-gguf:v1")


@pytest.mark.parametrize("kind", ["sigstore", "private-ca", "key"])
def test_kyverno_verifies_the_image_volumes_of_the_registry_and_refuses_withdrawn_ones(kind: str) -> None:
    (policy,) = documents(FOLDER / f"kyverno-{kind}.yaml")
    spec = policy["spec"]
    (images,) = spec["images"]
    model = "registry.example.org/models/coder@sha256:" + "a" * 64

    def found(**pod: Any) -> list[str]:
        return list(cel.evaluate(images["expression"], {"object": {"spec": pod}}))

    volumes = [
        {"name": "a", "image": {"reference": model}},
        {"name": "b", "emptyDir": {}},
        {"name": "c", "image": {"pullPolicy": "Always"}},
        {"name": "d", "image": {"reference": "docker.io/library/nginx"}},
    ]
    assert found(volumes=volumes) == [model]
    assert found() == [] and found(volumes=[]) == []
    types = {each["name"]: each["intoto"]["type"] for each in spec["attestations"]}
    assert types == {"provenance": PREDICATE_TYPE, "withdrawal": WITHDRAWAL}
    checks = [each["expression"] for each in spec["validations"]]
    assert "attestations.provenance" in checks[0] and checks[0].endswith("n > 0)")
    assert "attestations.withdrawal" in checks[1] and checks[1].endswith("n == 0)")


def test_air_gapped_examples_ask_nobody_but_the_registry() -> None:
    for name in (
        "policy-controller-private-ca",
        "policy-controller-key",
        "kyverno-private-ca",
        "kyverno-key",
    ):
        text = (FOLDER / f"{name}.yaml").read_text()
        assert "sigstore.dev/" not in re.sub(r"apiVersion: \S+|policy\.sigstore\.dev/include", "", text)
        assert "rekor" not in text
