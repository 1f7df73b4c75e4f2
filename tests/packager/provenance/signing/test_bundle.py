"""Bundles: stable bytes, and the refusals of verifiers in Go."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from starfreight.errors import GateError
from starfreight.packager.provenance.signing.bundle import Bundle, parse_bundle
from starfreight.packager.provenance.signing.interface import Material, Signature

BUNDLE = Bundle(b'{"_type":"x"}', Signature(b"\x30\x01", Material(key_hint="aGludA==")))
CERTIFIED = Bundle(b"{}", Signature(b"\x30", Material(certificate=b"der", timestamps=(b"t1", b"t2"))))
GOLDEN = (
    b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":'
    b'"aGludA=="}},"dsseEnvelope":{"payload":"eyJfdHlwZSI6IngifQ==","payloadType":"application/vnd.in-toto+json",'
    b'"signatures":[{"sig":"MAE="}]}}'
)

Change = Callable[[dict[str, Any]], object]


def test_the_bytes_are_those_of_the_format() -> None:
    assert BUNDLE.as_bytes() == GOLDEN


@pytest.mark.parametrize("bundle", [BUNDLE, CERTIFIED])
def test_a_bundle_is_read_as_it_was_written(bundle: Bundle) -> None:
    assert parse_bundle(bundle.as_bytes(), "b") == bundle


REFUSED: dict[str, tuple[Change, str]] = {
    "unknown field": (lambda b: b.update(extra=1), "extra"),
    "unknown field in the envelope": (lambda b: b["dsseEnvelope"].update(extra=1), "extra"),
    "two signatures": (lambda b: b["dsseEnvelope"]["signatures"].append({"sig": "MAE="}), "signatures"),
    "no signature": (lambda b: b["dsseEnvelope"]["signatures"].clear(), "signatures"),
    "empty signature": (lambda b: b["dsseEnvelope"]["signatures"][0].update(sig=""), "sig"),
    "chain": (lambda b: b["verificationMaterial"].update(x509CertificateChain={}), "x509CertificateChain"),
    "version 0.4": (lambda b: b.update(mediaType=b["mediaType"].replace("0.3", "0.4")), "mediaType"),
    "another type in a longer name": (lambda b: b.update(mediaType=b["mediaType"] + "\n"), "mediaType"),
    "other payload": (lambda b: b["dsseEnvelope"].update(payloadType="text/plain"), "payloadType"),
    "no key": (lambda b: b.update(verificationMaterial={}), "hint of a public key"),
    "key and certificate": (
        lambda b: b["verificationMaterial"].update(certificate={"rawBytes": "MAE="}),
        "hint of a public key",
    ),
    "base64 with a newline": (lambda b: b["dsseEnvelope"].update(payload="eyJf\nfQ=="), "base64"),
    "base64 for URLs": (lambda b: b["dsseEnvelope"]["signatures"][0].update(sig="_-_-"), "base64"),
    "base64 with stray bits": (lambda b: b["dsseEnvelope"]["signatures"][0].update(sig="MAF="), "base64"),
    "a number for text": (lambda b: b["dsseEnvelope"].update(payload=1), "payload"),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_other_bundles_are_refused(change: Change, words: str) -> None:
    bundle = json.loads(BUNDLE.as_bytes())
    change(bundle)
    with pytest.raises(GateError, match=words) as caught:
        parse_bundle(json.dumps(bundle).encode(), "b.json")
    assert caught.value.where == "b.json"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"mediaType":1,"mediaType":2}',
        b"\xef\xbb\xbf" + GOLDEN,
        GOLDEN + b"x",
        b"[" * 100_000,
        GOLDEN.replace(b'"hint"', b'"hint":"a","hint"'),
        b'{"payload":"' + base64.b64encode(b"x" * (17 << 20)) + b'"}',
    ],
    ids=["empty", "list", "no text", "twice", "mark", "tail", "deep", "hint twice", "large"],
)
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(GateError):
        parse_bundle(data, "b")
