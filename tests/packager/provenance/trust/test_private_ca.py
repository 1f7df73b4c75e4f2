"""Certificates of a private CA: accepted and refused as by the real ``gh``, with a message for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import private_ca
import pytest
from attach_bundle import attach_bundle, bundles, run_gh
from ca_lab import DAY, HOUR, CaLab, TimestampLab, fulcio, utf8
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.provenance.signing.bundle import parse_bundle
from starfreight.packager.provenance.signing.certificate import CertificateSigner, read_certificate
from starfreight.packager.provenance.signing.local_key import LocalKey
from starfreight.packager.provenance.signing.sign_package import sign_package
from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority
from starfreight.packager.provenance.signing.verified import SignerIdentity
from starfreight.packager.provenance.trust import Trust, load_trust, verify_signatures
from starfreight.packager.provenance.trust.interface import UnknownSignerError, WrongSignatureError

ISSUER = "https://token.actions.githubusercontent.com"
FILE = b"a model"
PAYLOAD = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": hashlib.sha256(FILE).hexdigest()}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    }
).encode()
OWNER = {"source_repository_owner_uri": "https://github.com/acme"}
WORKFLOW = "https://github.com/acme/coder/.github/workflows/{}@**"


@pytest.fixture(scope="module")
def lab(require_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> CaLab:
    require_service("openssl")
    return CaLab(tmp_path_factory.mktemp("lab"))


def ours(data: bytes, root: Path, identity: str | None = None, **options: Any) -> SignerIdentity:
    chosen = {"issuer": ISSUER, "claims": OWNER, **options}
    (verifier,) = load_trust(identity=identity, trusted_roots=[root], **chosen).verifiers()
    return verifier.verify(parse_bundle(data, "bundle"), data)


def accepts(data: bytes, root: Path, identity: str | None = None, **options: Any) -> bool:
    try:
        ours(data, root, identity, **options)
    except (UnknownSignerError, WrongSignatureError):
        return False
    return True


def intermediate(lab: CaLab) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A CA under the lab's, which is in no trusted root."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(lab.ca[1].subject, private_ca._name("sub"), key.public_key(), 77)
    now = lab.ca[1].not_valid_before_utc
    builder = builder.not_valid_before(now).not_valid_after(now + 90 * DAY)
    builder = builder.add_extension(x509.BasicConstraints(True, 0), True)
    builder = builder.add_extension(private_ca._usage(ca=True), True)
    from cryptography.hazmat.primitives import hashes

    return key, builder.sign(lab.ca[0], hashes.SHA256())


def doubled(data: bytes) -> bytes:
    """A bundle with its timestamp twice."""
    bundle = json.loads(data)
    bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 2
    return json.dumps(bundle).encode()


BUNDLES: dict[str, tuple[Callable[[CaLab, Path], bytes], str | None]] = {
    "right": (lambda lab, tmp: lab.bundle(PAYLOAD), None),
    "of P-384": (
        lambda lab, tmp: lab.bundle(PAYLOAD, lab.certificate(key=ec.generate_private_key(ec.SECP384R1()))),
        None,
    ),
    "expired": (
        lambda lab, tmp: lab.bundle(PAYLOAD, lab.certificate(valid=(-2 * HOUR, -HOUR))),
        "its certificate is valid from",
    ),
    "not yet valid": (
        lambda lab, tmp: lab.bundle(PAYLOAD, lab.certificate(valid=(HOUR, 2 * HOUR))),
        "its certificate is valid from",
    ),
    "without a timestamp": (lambda lab, tmp: lab.bundle(PAYLOAD, stamps=()), "no timestamp"),
    "timestamp of another signature": (
        lambda lab, tmp: lab.bundle(PAYLOAD, stamps=[lab.tsa.stamp(b"another")]),
        "timestamp of another signature",
    ),
    "timestamp of another authority": (
        lambda lab, tmp: lab.bundle(PAYLOAD, tsa=TimestampLab(tmp / "tsa")),
        "authority that is not trusted",
    ),
    "the same timestamp twice": (lambda lab, tmp: doubled(lab.bundle(PAYLOAD)), None),
    "garbage for a timestamp": (lambda lab, tmp: lab.bundle(PAYLOAD, stamps=[b"\x30\x00"]), "cannot be read"),
    "certificate of another CA": (
        lambda lab, tmp: lab.bundle(PAYLOAD, lab.certificate(issuer=private_ca._root("ca"))),
        "none of the trusted authorities issued",
    ),
    "certificate of an unknown intermediate": (
        lambda lab, tmp: lab.bundle(PAYLOAD, lab.certificate(issuer=intermediate(lab))),
        "none of the trusted authorities issued",
    ),
    "another purpose": (
        lambda lab, tmp: lab.bundle(PAYLOAD, lab.certificate(purpose=ExtendedKeyUsageOID.EMAIL_PROTECTION)),
        "lacks code signing",
    ),
    "signature of another statement": (
        lambda lab, tmp: lab.bundle(PAYLOAD, signed=PAYLOAD + b" "),
        "of another statement",
    ),
    "another owner": (
        lambda lab, tmp: lab.bundle(
            PAYLOAD, lab.certificate(extensions=fulcio({16: utf8("https://github.com/mallory")}))
        ),
        "source_repository_owner_uri https://github.com/mallory",
    ),
    "another issuer": (
        lambda lab, tmp: lab.bundle(
            PAYLOAD, lab.certificate(extensions=fulcio({8: utf8("https://issuer.example")}))
        ),
        "of the issuer https://issuer.example",
    ),
    "without an issuer": (
        lambda lab, tmp: lab.bundle(PAYLOAD, lab.certificate(extensions=fulcio({8: None}))),
        "of the issuer",
    ),
    "raw text for the issuer": (
        lambda lab, tmp: lab.bundle(PAYLOAD, lab.certificate(extensions=fulcio({8: ISSUER.encode()}))),
        "not a UTF-8 text in DER",
    ),
}


def gh(data: bytes, root: Path, folder: Path, *options: str) -> bool:
    return run_gh(FILE, data, root, folder, *options)


@pytest.mark.parametrize("name", BUNDLES)
def test_bundles_are_accepted_and_refused_as_by_gh(name: str, lab: CaLab, tmp_path: Path) -> None:
    make, words = BUNDLES[name]
    data = make(lab, tmp_path)
    if words is None:
        assert ours(data, lab.trusted_root).issuer == ISSUER
    else:
        with pytest.raises((UnknownSignerError, WrongSignatureError), match=words):
            ours(data, lab.trusted_root)
    assert gh(data, lab.trusted_root, tmp_path) == (words is None)


@pytest.mark.parametrize(
    ("options", "identity", "others"),
    [
        (["--owner", "mallory"], None, {"claims": {"source_repository_owner_uri": "https://github.com/mallory"}}),
        (["--repo", "acme/coder"], None, {"claims": {"source_repository_uri": private_ca.REPOSITORY}}),
        (["--repo", "acme/other"], None, {"claims": {"source_repository_uri": "https://github.com/acme/other"}}),
        (["--signer-workflow", "acme/coder/.github/workflows/train.yml"], WORKFLOW.format("train.yml"), {}),
        (["--signer-workflow", "acme/coder/.github/workflows/tra.yml"], WORKFLOW.format("tra.yml"), {}),
        (["--cert-identity", private_ca.WORKFLOW], private_ca.WORKFLOW, {}),
        (["--cert-identity", private_ca.WORKFLOW[:-1]], private_ca.WORKFLOW[:-1], {}),
        (["--cert-oidc-issuer", "https://other"], None, {"issuer": "https://other"}),
    ],
)  # fmt: skip
def test_identities_are_told_apart_as_by_gh(
    options: list[str], identity: str | None, others: dict[str, Any], lab: CaLab, tmp_path: Path
) -> None:
    data = lab.bundle(PAYLOAD)
    owner = [] if options[0] in ("--owner", "--repo") else ["--owner", "acme"]
    assert accepts(data, lab.trusted_root, identity, **others) == gh(
        data, lab.trusted_root, tmp_path, *owner, *options
    )


CERTIFICATES: dict[str, tuple[tuple[x509.ExtensionType, ...], str]] = {
    "raw text with another repository": (fulcio({1: b"https://other"}), "contradicting values of issuer"),
    "trailing bytes": (fulcio({12: utf8("https://a") + b"x"}), "not a UTF-8 text"),
    "another kind of string": (fulcio({12: b"\x13\x01a"}), "not a UTF-8 text"),
    "a long form of a short length": (fulcio({12: b"\x0c\x81\x01a"}), "not a UTF-8 text"),
    "not UTF-8": (fulcio({12: b"\x0c\x01\xff"}), "not a UTF-8 text"),
    "empty": (fulcio({12: b""}), "not a UTF-8 text"),
    "control characters": (fulcio({12: utf8("a\x1b[2J")}), "not printable"),
    "too long": (fulcio({12: utf8("a" * 5000)}), "too long"),
    "two names": (
        fulcio(names=[x509.RFC822Name("a@b.c"), x509.RFC822Name("d@e.f")]),
        "several subject alternative names",
    ),
    "an address of a host": (
        fulcio(names=[x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")]))]),
        "not a URI",
    ),
    "no name": (fulcio()[1:], "without a subject alternative name"),
}


@pytest.mark.parametrize(("extensions", "words"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_malformed_extensions_are_refused(
    extensions: tuple[x509.ExtensionType, ...], words: str, lab: CaLab
) -> None:
    data = lab.bundle(PAYLOAD, lab.certificate(extensions=extensions), stamps=())
    with pytest.raises(UnknownSignerError, match=words):
        ours(data, lab.trusted_root)


def test_names_of_users_and_old_raw_extensions_are_read(lab: CaLab) -> None:
    fulcio_name = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), utf8("user!a.example"))
    for name, identity in ((fulcio_name, "user!a.example"), (x509.RFC822Name("me@acme.com"), "me@acme.com")):
        extensions = fulcio({1: ISSUER.encode(), 8: None, 5: b"acme/coder"}, [name])
        signer = ours(lab.bundle(PAYLOAD, lab.certificate(extensions=extensions)), lab.trusted_root, identity)
        assert (signer.identity, signer.issuer) == (identity, ISSUER)
        assert signer.claims["github_workflow_repository"] == "acme/coder"


def test_a_root_out_of_use_and_several_roots(lab: CaLab, tmp_path: Path) -> None:
    data, root = lab.bundle(PAYLOAD), json.loads(lab.trusted_root.read_bytes())
    start = root["certificateAuthorities"][0]["validFor"]["start"]
    for kind, words in (
        ("certificateAuthorities", "certificate authority was not in use"),
        ("timestampAuthorities", "its authority was not in use"),
    ):
        changed = json.loads(json.dumps(root))
        changed[kind][0]["validFor"] = {"start": start, "end": start}
        path = tmp_path / kind
        path.write_text(json.dumps(changed))
        with pytest.raises(WrongSignatureError, match=words):
            ours(data, path)
        assert not gh(data, path, tmp_path)
    two = tmp_path / "two.jsonl"
    two.write_bytes(CaLab(tmp_path / "second").trusted_root.read_bytes() + lab.trusted_root.read_bytes())
    trust = load_trust(identity="**", trusted_roots=[two])
    assert len(trust.verifiers()) == 2


@pytest.fixture
def signer(private_ca: private_ca.PrivateCa) -> CertificateSigner:
    key = LocalKey.load(private_ca.key, None)
    certificate = read_certificate(private_ca.certificate)
    return CertificateSigner(key, certificate, TimestampAuthority(private_ca.timestamps))


def test_a_package_signed_with_a_certificate_verifies(
    package: Path, private_ca: private_ca.PrivateCa, signer: CertificateSigner, console: Console
) -> None:
    sign_package(package, signer, console)
    layout, record = ImageLayout(package), Package.load(package)

    def report(**options: Any) -> Any:
        trust = load_trust(trusted_roots=[private_ca.trusted_root], **options)
        return verify_signatures(layout, record, trust)

    found = report(identity="https://github.com/acme/*/.github/workflows/*@refs/heads/**", issuer=ISSUER)
    assert found.verified
    (who,) = found.signers
    assert who.kind == "private-ca" and who.claims["source_repository_uri"] == "https://github.com/acme/coder"
    assert who.signed_at is not None
    for other in ({"identity": "https://github.com/acme/*"}, {"identity": "**", "issuer": "https://other"}):
        refused = report(**other)
        assert not refused.verified and not refused.problems and refused.unknown == len(bundles(package))
    assert not verify_signatures(layout, record, Trust()).checked


def test_a_wrong_identity_is_named_before_signers_of_another_kind(
    package: Path,
    private_ca: private_ca.PrivateCa,
    signer: CertificateSigner,
    make_keys: Any,
    console: Console,
) -> None:
    sign_package(package, make_keys().signer, console)
    sign_package(package, signer, console)
    trust = load_trust(trusted_roots=[private_ca.trusted_root], identity="https://github.com/other/**")
    found = verify_signatures(ImageLayout(package), Package.load(package), trust)
    assert "is signed by https://github.com/acme/coder/" in found.untrusted[0]
    assert "another kind of signer" in found.untrusted[-1]


def test_a_wrong_bundle_of_a_trusted_identity_refuses_the_package(
    package: Path,
    private_ca: private_ca.PrivateCa,
    signer: CertificateSigner,
    console: Console,
) -> None:
    sign_package(package, signer, console)
    late = read_certificate(private_ca.issue("late.pem", (timedelta(days=-2), timedelta(days=-1))))
    (_, bundle), *_ = bundles(package)
    data = json.loads(bundle.as_bytes())
    import base64

    from cryptography.hazmat.primitives.serialization import Encoding

    raw = base64.b64encode(late.public_bytes(Encoding.DER)).decode()
    data["verificationMaterial"]["certificate"]["rawBytes"] = raw
    attach_bundle(package, json.dumps(data).encode(), console)
    trust = load_trust(identity="**", trusted_roots=[private_ca.trusted_root])
    found = verify_signatures(ImageLayout(package), Package.load(package), trust)
    assert not found.verified and not found.unsigned
    assert "its certificate is valid from" in found.problems[0]
