"""Bundles, certificates, timestamps and trusted roots, which anybody can attach or hand out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ca_lab import FULCIO, CaLab, fulcio
from cryptography.hazmat.primitives.serialization import Encoding
from fuzzing import changed_bytes, changed_json, fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.errors import GateError
from starfreight.packager.provenance.signing.bundle import Bundle, parse_bundle
from starfreight.packager.provenance.signing.interface import Material, Signature
from starfreight.packager.provenance.signing.local_key import LocalKey, generate_key
from starfreight.packager.provenance.trust import load_trust
from starfreight.packager.provenance.trust.fulcio_extensions import read_claims
from starfreight.packager.provenance.trust.interface import (
    BundleVerifier,
    UnknownSignerError,
    WrongSignatureError,
)
from starfreight.packager.provenance.trust.pattern import matches
from starfreight.packager.provenance.trust.trusted_root import parse_trusted_roots

PUBLIC_GOOD = (
    Path(__file__).parents[1] / "packager/provenance/trust/data/public-good.sigstore.json"
).read_bytes()
ISSUER = "https://token.actions.githubusercontent.com"
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'


@pytest.fixture(scope="module")
def lab(require_service: Callable[[str], str], folder: Path) -> CaLab:
    require_service("openssl")
    return CaLab(folder / "lab")


@pytest.fixture(scope="module")
def certified(lab: CaLab) -> bytes:
    return lab.bundle(PAYLOAD)


@pytest.fixture(scope="module")
def verifiers(lab: CaLab, folder: Path) -> tuple[BundleVerifier, ...]:
    """Verifiers of a key, a private CA, and Sigstore's public instance."""
    generate_key(folder / "a.key", folder / "a.pub", b"p")
    private = load_trust(keys=[folder / "a.pub"], identity="**", trusted_roots=[lab.trusted_root])
    return (private | load_trust(identity="**", issuer=ISSUER)).verifiers()


def verify(data: bytes, verifiers: tuple[BundleVerifier, ...]) -> bool:
    """True for a right signature."""
    try:
        bundle = parse_bundle(data, "b")
    except GateError:
        return False
    found = False
    for verifier in verifiers:
        if verifier.accepts(bundle):
            try:
                signer = verifier.verify(bundle, data)
                signer.in_words().encode()
                json.dumps(signer.as_dict())
                found = True
            except (UnknownSignerError, WrongSignatureError) as error:
                str(error).encode("utf-8", "backslashreplace")
    return found


def test_right_ones_verify(certified: bytes, verifiers: tuple[BundleVerifier, ...], folder: Path) -> None:
    signer = LocalKey.load(folder / "a.key", b"p")
    signed = Bundle(PAYLOAD, signer.sign_statement(PAYLOAD)).as_bytes()
    assert all(verify(each, verifiers) for each in (certified, PUBLIC_GOOD, signed))


@fuzz
@given(data=st.one_of(changed_json(json.loads(PUBLIC_GOOD)), changed_bytes(PUBLIC_GOOD)))
def test_a_changed_bundle_of_sigstore(verifiers: tuple[BundleVerifier, ...], data: bytes) -> None:
    holds(lambda: verify(data, verifiers))


@fuzz
@given(draw=st.data())
def test_a_changed_bundle_of_a_private_ca(
    verifiers: tuple[BundleVerifier, ...], certified: bytes, draw: st.DataObject
) -> None:
    data = draw.draw(st.one_of(changed_json(json.loads(certified)), changed_bytes(certified)))
    holds(lambda: verify(data, verifiers))


@fuzz
@given(draw=st.data())
def test_a_changed_certificate_timestamp_or_signature(
    verifiers: tuple[BundleVerifier, ...], certified: bytes, draw: st.DataObject
) -> None:
    bundle = parse_bundle(certified, "b")
    material = bundle.signature.material
    (stamp,) = material.timestamps
    certificate = material.certificate or b""
    which = draw.draw(st.sampled_from(("certificate", "timestamp", "signature", "payload")))
    parts = {"certificate": certificate, "timestamp": stamp, "signature": bundle.signature.value,
             "payload": bundle.payload}  # fmt: skip
    before = dict(parts)
    parts[which] = draw.draw(changed_bytes(parts[which]))
    changed = Bundle(
        parts["payload"],
        Signature(parts["signature"], Material(None, parts["certificate"], (parts["timestamp"],))),
    )
    right: list[bool] = []
    holds(lambda: right.append(verify(changed.as_bytes(), verifiers)))
    if which in ("certificate", "signature", "payload") and parts != before:
        assert not any(right)


@fuzz
@given(
    number=st.integers(1, 25),
    value=st.one_of(st.binary(max_size=40), texts.map(lambda t: t.encode("utf-8", "replace"))),
)
def test_any_extension(lab: CaLab, number: int, value: bytes) -> None:
    _, certificate = lab.certificate(extensions=fulcio({number: value}))

    def read() -> None:
        try:
            claims = read_claims(certificate)
        except ValueError as error:
            str(error).encode()
            return
        assert all(each.isprintable() for each in (claims.identity, *claims.values.values()))

    assert FULCIO and certificate.public_bytes(Encoding.DER)
    holds(read)


@fuzz
@given(draw=st.data())
def test_a_changed_trusted_root(lab: CaLab, draw: st.DataObject) -> None:
    valid = lab.trusted_root.read_bytes()
    kinds = (changed_json(json.loads(valid)), changed_bytes(valid), changed_bytes(valid * 3))
    data = draw.draw(st.one_of(*kinds))
    holds(lambda: parse_trusted_roots(data, "root"))


@fuzz
@given(pattern=st.text("a*/b", max_size=300), text=st.text("a/b", max_size=300))
def test_a_pattern_is_a_regular_expression_in_bounded_time(pattern: str, text: str) -> None:
    found: list[bool] = []
    holds(lambda: found.append(matches(pattern, text)))
    if len(pattern) < 12:  # Regular expressions backtrack.
        import re

        parts = re.split(r"(\*+)", pattern)
        source = "".join(
            ".*" if each.startswith("**") else "[^/]*" if each == "*" else re.escape(each) for each in parts
        )
        assert found == [re.fullmatch(source, text, re.S) is not None]


def test_a_pattern_of_stars_is_fast() -> None:
    holds(lambda: matches("*a" * 250, "a" * 2000 + "b"))
    holds(lambda: matches("**a*" * 125, "a/" * 1000))
