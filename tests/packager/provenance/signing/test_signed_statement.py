"""The statements that are signed: about all files and manifests, the same each time, and refused if odd."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.evaluation_statement import FIGURES
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_evaluations import PREDICATE_ANNOTATION, TEST_RESULT
from starfreight.packager.layout import Evidence
from starfreight.packager.layout import attach as attach_evidence
from starfreight.packager.media_types import IN_TOTO
from starfreight.packager.provenance.signing.local_key import LocalKey
from starfreight.packager.provenance.signing.sign_package import sign_package
from starfreight.packager.provenance.signing.signed_statement import (
    BOM_PREDICATE,
    signed_statement,
    statements_to_sign,
)

PROVENANCE = "https://slsa.dev/provenance/v1"


def named(statement: dict[str, Any]) -> set[str]:
    return {f"sha256:{each['digest']['sha256']}" for each in statement["subject"]}


def test_all_kinds_of_statements_are_signed_about_what_they_concern(whole_package: Path) -> None:
    package, layout = Package.load(whole_package), ImageLayout(whole_package)
    statements = statements_to_sign(package, layout)
    kinds = [each.predicate_type for each in statements]
    assert kinds == [PROVENANCE, BOM_PREDICATE, FIGURES, TEST_RESULT]
    manifests = [each.manifest for variant in package.variants for each in variant.manifests]
    ggufs = [variant.gguf.digest for variant in package.variants]
    judged = package.default_variant
    for each in statements:
        statement = json.loads(each.payload)
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        assert statement["predicateType"] == each.predicate_type
        if each.predicate_type in (PROVENANCE, BOM_PREDICATE):
            assert list(each.manifests) == manifests
            assert named(statement) == {*ggufs, *(manifest.digest for manifest in manifests)}
        else:
            assert list(each.manifests) == [packaged.manifest for packaged in judged.manifests]
            assert named(statement) == {judged.gguf.digest, *(manifest.digest for manifest in each.manifests)}
    assert package.bom is not None
    assert json.loads(statements[1].payload)["predicate"] == json.loads(layout.read(package.bom))
    assert statements_to_sign(package, layout) == statements


def test_later_figures_alone_are_signed_the_second_time(
    whole_package: Path, make_key: Callable[..., Any], console: Console
) -> None:
    key = LocalKey.load(make_key().private, b"correct horse")
    package = Package.load(whole_package)
    manifests = sum(len(variant.manifests) for variant in package.variants)
    of_variant = len(package.default_variant.manifests)
    signed, added = sign_package(whole_package, key, console)
    assert added == 2 * manifests + 2 * of_variant
    layout = ImageLayout(whole_package)
    statement = statements_to_sign(signed, layout)[2]
    more = json.loads(statement.payload)
    more["subject"] = more["subject"][:1]
    more["predicate"]["evaluation"]["ended"] = "2026-02-01T00:00:00+00:00"
    evidence = [
        Evidence(
            subject=each.manifest,
            data=json.dumps(more).encode(),
            media_type=IN_TOTO,
            artifact_type=IN_TOTO,
            annotations={PREDICATE_ANNOTATION: FIGURES},
        )
        for each in package.default_variant.manifests
    ]
    attach_evidence(whole_package, evidence, console)
    again, added = sign_package(whole_package, key, console)
    assert added == of_variant and again.extends(signed)
    assert sign_package(whole_package, key, console) == (again, 0)


def test_results_of_other_programs_tests_are_not_signed(whole_package: Path, console: Console) -> None:
    package = Package.load(whole_package)
    before = statements_to_sign(package, ImageLayout(whole_package))
    foreign = Evidence(
        subject=package.variants[0].manifests[0].manifest,
        data=b'{"subject":[],"predicateType":"x","predicate":{}}',
        media_type=IN_TOTO,
        artifact_type=IN_TOTO,
        annotations={PREDICATE_ANNOTATION: TEST_RESULT},
    )
    changed = attach_evidence(whole_package, [foreign], console)
    assert statements_to_sign(changed, ImageLayout(whole_package)) == before


GOOD = {"digest": {"sha256": "0" * 64}, "name": "a"}


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (b"", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "not an in-toto statement"),
        (b'{"a":1,"a":1}', "twice"),
        (b"[" * 100_000, "not valid JSON"),
        ({"subject": "x"}, "not an in-toto"),
        ({"subject": [{"name": "a"}]}, "not an in-toto"),
        ({"subject": [{"digest": {}}]}, "not an in-toto"),
        ({"subject": [{"digest": {"swhid": "swh:1:cnt:00"}}]}, "not an in-toto"),
        ({"subject": [{"digest": {"sha256": "0"}}]}, "not an in-toto"),
        ({"subject": [{"digest": {"sha256": "AB"}}]}, "not an in-toto"),
        ({"subject": [{"digest": {"sha256": 1}}]}, "not an in-toto"),
        ({"predicateType": 1}, "not an in-toto"),
        ({"subject": [GOOD] * 1024}, "1,0"),
    ],
)
def test_odd_statements_are_refused(statement: Any, words: str, package: Path) -> None:
    if isinstance(statement, dict):
        whole = {"subject": [GOOD], "predicateType": PROVENANCE, "predicate": {}, **statement}
        statement = json.dumps(whole).encode()
    with pytest.raises(GateError, match=words):
        signed_statement(Package.load(package), statement, "here")
