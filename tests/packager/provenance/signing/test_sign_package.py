"""Signing a package: every manifest has a bundle about all files, and a change anywhere is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.layout import Evidence, attach, verify_layout
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE, Bundle, parse_bundle
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.local_key import LocalKey
from starfreight.packager.provenance.signing.sign_package import sign_package
from starfreight.packager.provenance.signing.verified import SignatureReport
from starfreight.packager.provenance.trust import load_trust, verify_signatures

PASSWORD = "correct horse"
MakeKey = Callable[..., Any]


def manifests(package: Package) -> list[str]:
    return [each.manifest.digest for variant in package.variants for each in variant.manifests]


def report(folder: Path, public: Path) -> SignatureReport:
    return verify_signatures(ImageLayout(folder), Package.load(folder), load_trust(keys=(public,)))


def bundles(folder: Path) -> list[tuple[str, Bundle]]:
    layout, found = ImageLayout(folder), []
    for attachment in Package.load(folder).attachments:
        if attachment.artifact_type == MEDIA_TYPE:
            (layer,) = layout.manifest(attachment.manifest).layers
            found.append((attachment.subject, parse_bundle(layout.read(layer), "b")))
    return found


def test_each_manifest_is_signed_by_a_statement_about_all_of_the_package(
    package: Path, make_key: MakeKey, console: Console
) -> None:
    pair, before = make_key(), Package.load(package)
    signed, added = sign_package(package, LocalKey.load(pair.private, PASSWORD.encode()), console)
    verify_layout(package, console)
    assert signed.extends(before) and added == len(manifests(before))
    assert [subject for subject, _ in bundles(package)] == manifests(before)
    for _, bundle in bundles(package):
        statement = json.loads(bundle.payload)
        named = {f"sha256:{each['digest']['sha256']}" for each in statement["subject"]}
        assert named == {*manifests(before), *(each.gguf.digest for each in before.variants)} | (
            {before.adapter.digest} if before.adapter else set()
        )
        own = json.loads(ImageLayout(package).read(before.provenance))
        assert statement["predicate"] == own["predicate"]
    found = report(package, pair.public)
    assert found.verified and len(found.signatures) == added


def test_a_second_signature_of_the_same_key_changes_nothing(
    package: Path, make_key: MakeKey, console: Console
) -> None:
    key = LocalKey.load(make_key().private, PASSWORD.encode())
    first, _ = sign_package(package, key, console)
    assert sign_package(package, key, console) == (first, 0)
    other = make_key("other")
    assert sign_package(package, LocalKey.load(other.private, PASSWORD.encode()), console)[1] > 0
    assert len(report(package, other.public).signatures) == len(manifests(first))


def test_the_annotations_are_those_that_cosign_reads(
    package: Path, make_key: MakeKey, console: Console
) -> None:
    signed, _ = sign_package(package, LocalKey.load(make_key().private, PASSWORD.encode()), console)
    layout = ImageLayout(package)
    for attachment in signed.attachments:
        if attachment.artifact_type != MEDIA_TYPE:
            continue
        manifest = layout.manifest(attachment.manifest)
        assert manifest.artifact_type == manifest.layers[0].media_type == MEDIA_TYPE
        assert layout.read(manifest.config) == b"{}"
        assert manifest.config.media_type == "application/vnd.oci.empty.v1+json"
        assert manifest.annotations == {
            "org.opencontainers.image.created": signed.created,
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1",
        }


def test_an_unsigned_package_and_another_key_are_refused(
    package: Path, make_key: MakeKey, console: Console
) -> None:
    pair = make_key()
    assert report(package, pair.public).unsigned
    sign_package(package, LocalKey.load(pair.private, PASSWORD.encode()), console)
    other = report(package, make_key("other").public)
    assert other.unknown and len(other.unsigned) == len(manifests(Package.load(package)))


def resigned(folder: Path, pair: Any, change: Callable[[dict[str, Any]], object], console: Console) -> None:
    """Attaches bundles of the right key with a changed statement."""
    key = LocalKey.load(pair.private, PASSWORD.encode())
    _, bundle = bundles(folder)[0]
    statement = json.loads(bundle.payload)
    change(statement)
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    data = Bundle(payload, key.sign(pre_authentication_encoding(payload))).as_bytes()
    package = Package.load(folder)
    subject = package.default_variant.manifests[0].manifest
    annotations = {"dev.sigstore.bundle.content": "dsse-envelope"}
    attach(folder, [Evidence(subject=subject, data=data, media_type=MEDIA_TYPE, artifact_type=MEDIA_TYPE,
                             annotations=annotations)], console)  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["subject"].pop(),
        lambda s: s["subject"][0]["digest"].update(sha256="0" * 64),
        lambda s: s["predicate"]["runDetails"]["metadata"].update(invocationId="another"),
    ],
)
def test_a_signed_statement_about_something_else_is_refused(
    change: Callable[[dict[str, Any]], object], package: Path, make_key: MakeKey, console: Console
) -> None:
    pair = make_key()
    sign_package(package, LocalKey.load(pair.private, PASSWORD.encode()), console)
    resigned(package, pair, change, console)
    found = report(package, pair.public)
    assert found.problems and not found.verified


def test_a_stripped_signature_is_missed(package: Path, make_key: MakeKey, console: Console) -> None:
    pair = make_key()
    signed, _ = sign_package(package, LocalKey.load(pair.private, PASSWORD.encode()), console)
    signed.model_copy(update={"attachments": signed.attachments[:-1]}).save(package)
    found = report(package, pair.public)
    assert len(found.unsigned) == 1 and not found.verified


def test_the_signature_of_another_package_does_not_fit(
    package: Path, make_key: MakeKey, console: Console, tmp_path: Path
) -> None:
    pair = make_key()
    other = Path(shutil.copytree(package, tmp_path / "other"))
    sign_package(other, LocalKey.load(pair.private, PASSWORD.encode()), console)
    _, bundle = bundles(other)[0]
    payload = bundle.payload.replace(b'"subject":[', b'"subject":[{"digest":{"sha256":"00"},"name":"x"},')
    forged = Bundle(payload, bundle.signature).as_bytes()
    subject = Package.load(package).default_variant.manifests[0].manifest
    attach(package, [Evidence(subject=subject, data=forged, media_type=MEDIA_TYPE, artifact_type=MEDIA_TYPE,
                              annotations={})], console)  # fmt: skip
    assert not report(package, pair.public).verified
