"""Legacy signatures: cosign's text to the byte, one for each manifest, and nobody's twice."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from private_ca import PrivateCa

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.layout import Evidence, attach, verify_layout
from starfreight.packager.provenance.signing.certificate import CertificateSigner, read_certificate
from starfreight.packager.provenance.signing.local_key import LocalKey, check_signature, read_public_key
from starfreight.packager.provenance.signing.sign_package import MoreSignatures, sign_package
from starfreight.packager.provenance.signing.simple_signing import (
    SIGNATURE,
    SIMPLE_SIGNING,
    simple_payload,
    simple_signatures,
)
from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority

PASSWORD = b"correct horse"
MakeKey = Callable[..., Any]


def test_the_text_is_cosigns() -> None:
    digest = "sha256:" + "a" * 64
    assert simple_payload(digest, "ghcr.io/acme/coder") == (
        b'{"critical":{"identity":{"docker-reference":"ghcr.io/acme/coder"},"image":{"docker-manifest-digest":"'
        + digest.encode()
        + b'"},"type":"cosign container image signature"},"optional":null}'
    )


def test_each_manifest_gets_one_signature_of_a_key(
    package: Path, make_key: MakeKey, console: Console
) -> None:
    pair = make_key()
    key, more = LocalKey.load(pair.private, PASSWORD), MoreSignatures(legacy=True, repository="host/a/b")
    sign_package(package, key, console)
    signed, added = sign_package(package, key, console, more=more)
    verify_layout(package, console)
    layout = ImageLayout(package)
    found = list(simple_signatures(signed, layout))
    manifests = [each.manifest.digest for variant in signed.variants for each in variant.manifests]
    assert [each.subject for each in found] == manifests and added == len(manifests)
    for each in found:
        payload = layout.read(each.payload)
        assert json.loads(payload)["critical"]["image"] == {"docker-manifest-digest": each.subject}
        check_signature(read_public_key(pair.public), payload, base64.b64decode(each.signature))
    assert sign_package(package, key, console, more=more) == (signed, 0)
    elsewhere = MoreSignatures(legacy=True, repository="host/other")
    assert sign_package(package, key, console, more=elsewhere)[1] == len(manifests)


def test_certificates_and_identities_are_refused_before_anything_is_signed(
    package: Path, private_ca: PrivateCa, console: Console
) -> None:
    authority = TimestampAuthority("http://127.0.0.1:9/")
    key = LocalKey.load(private_ca.key, None)
    signer = CertificateSigner(key, read_certificate(private_ca.certificate), authority)
    with pytest.raises(InputError, match="with a key alone"):
        sign_package(package, signer, console, more=MoreSignatures(legacy=True))


def test_odd_attachments_are_passed_over(package: Path, make_key: MakeKey, console: Console) -> None:
    subject = Package.load(package).default_variant.manifests[0].manifest
    for data, media_type, noted in (
        (b"{}", SIMPLE_SIGNING, {}),
        (b"{}", "text/plain", {SIGNATURE: "MAE="}),
        (b"{}", SIMPLE_SIGNING, {SIGNATURE: "x" * 501}),
        (b"x" * 70_000, SIMPLE_SIGNING, {SIGNATURE: "MAE="}),
    ):
        evidence = Evidence(
            subject=subject,
            data=data,
            media_type=media_type,
            artifact_type=SIMPLE_SIGNING,
            annotations=noted,
        )
        attach(package, [evidence], console)
    assert not list(simple_signatures(Package.load(package), ImageLayout(package)))
    broken = Evidence(
        subject=subject,
        data=simple_payload(subject.digest, ""),
        media_type=SIMPLE_SIGNING,
        artifact_type=SIMPLE_SIGNING,
        annotations={SIGNATURE: "not base64"},
    )
    attach(package, [broken], console)
    key = LocalKey.load(make_key().private, PASSWORD)
    signed, _ = sign_package(package, key, console, more=MoreSignatures(legacy=True))
    assert (
        sum(each.subject == subject.digest for each in simple_signatures(signed, ImageLayout(package))) == 2
    )


def test_the_command_adds_them(package: Path, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", PASSWORD.decode())
    assert main(["package", "sign", str(package), "--key", str(make_key().private), "--legacy"]) == 0
    assert list(simple_signatures(Package.load(package), ImageLayout(package)))
