"""The page's part on signatures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.provenance.signing.signed_statement import BOM_PREDICATE
from starfreight.packager.provenance.signing.verified import (
    SignatureReport,
    SignerIdentity,
    VerifiedSignature,
)
from starfreight.packager.provenance.verify.interface import Examined
from starfreight.packager.provenance.verify.signatures import SignaturesCheck

GOLDEN = Path(__file__).parents[3] / "golden/finished-packages/golden-fim-de8303b786"
KEY = SignerIdentity("key", "acme\x1b.pub", "aGludA==")
SIGNED = VerifiedSignature("sha256:" + "a" * 64, "https://slsa.dev/provenance/v1", b"{}", KEY, "sha256:0")
RIGHT = SignatureReport(True, (SIGNED, dataclasses.replace(SIGNED, subject="sha256:" + "b" * 64)))


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (SignatureReport(False), [("noted", "is not signed: nothing proves")]),
        (SignatureReport(False, unknown=2), [("noted", "2 bundles are attached, and no signature")]),
        (SignatureReport(False, unknown=1), [("noted", "1 bundle is attached")]),
        (RIGHT, [("passed", r"All 2 manifests are signed by the key acme\x1b.pub")]),
        (
            dataclasses.replace(RIGHT, unknown=1, untrusted=("Why.",), unsigned_statements=(BOM_PREDICATE,)),
            [
                ("passed", "All 2 manifests"),
                ("noted", "bill of materials is not signed"),
                ("noted", "1 bundle is not of a trusted signer, and proves nothing"),
            ],
        ),
        (
            SignatureReport(True, unsigned=("q8_0",), unknown=3, untrusted=("Why.",)),
            [("refused", "q8_0 is not signed by a trusted signer. Why."), ("noted", "3 bundles are")],
        ),
        (
            SignatureReport(True, unsigned=tuple("abcdefg")),
            [("refused", "The manifests a, b, c, d, e and 2 more are not signed")],
        ),
        (
            dataclasses.replace(RIGHT, problems=("One.", "Two.")),
            [("refused", "One."), ("refused", "Two.")],
        ),
    ],
)  # fmt: skip
def test_findings(report: SignatureReport, expected: list[tuple[str, str]]) -> None:
    package, layout = Package.load(GOLDEN), ImageLayout(GOLDEN)
    examined = Examined(GOLDEN, package, layout, "here", None, None, report)
    found: list[Any] = list(SignaturesCheck().findings(examined))
    assert [each.level for each in found] == [level for level, _ in expected]
    for each, (level, words) in zip(found, expected, strict=True):
        assert words in each.what and each.what.isprintable()
        assert level != "refused" or each.fix
