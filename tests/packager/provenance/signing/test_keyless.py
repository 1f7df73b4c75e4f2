"""Keyless signing in a workflow, against a private Sigstore on this machine."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import model_signing
import pytest
from private_ca import WORKFLOW
from private_sigstore import ISSUER, REQUEST_TOKEN, PrivateSigstore

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError, ServiceError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.install.export import export_package
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE, parse_bundle
from starfreight.packager.provenance.signing.keyless import open_keyless
from starfreight.packager.provenance.signing.model_signature import MODEL_SIGNATURE

pytestmark = pytest.mark.usefixtures("plain_environment")


def blobs(folder: Path, kind: str) -> list[bytes]:
    layout = ImageLayout(folder)
    return [
        layout.read(layout.manifest(each.manifest).layers[0])
        for each in Package.load(folder).attachments
        if each.artifact_type == kind
    ]


def test_a_workflow_signs_a_package_and_sigstore_verifies_it(
    package: Path,
    private_sigstore: PrivateSigstore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity

    caplog.set_level(logging.INFO)
    sign = ["package", "sign", str(package), "--keyless", "--model-signing"]
    sign += ["--trust-config", str(private_sigstore.trust_config)]
    assert main(sign) == 0
    signed = Package.load(package)
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(private_sigstore.trusted_root)))
    found = blobs(package, MEDIA_TYPE)
    assert len(found) == sum(len(variant.manifests) for variant in signed.variants)
    for data in {*found, *blobs(package, MODEL_SIGNATURE)}:
        policy = Identity(identity=WORKFLOW, issuer=ISSUER)
        _, payload = verifier.verify_dsse(Bundle.from_json(data), policy)
        assert json.loads(payload)["_type"] == "https://in-toto.io/Statement/v1"
    assert parse_bundle(found[0], "b").as_bytes() == found[0]
    export_package(package, tmp_path / "out", [], Console(quiet=True))
    config = model_signing.verifying.Config().use_sigstore_verifier(
        identity=WORKFLOW, oidc_issuer=ISSUER, trust_config=private_sigstore.trust_config
    )
    config.verify(tmp_path / "out", tmp_path / "out/model.sig")
    assert main(sign) == 0  # The same identity, with another key and certificate.
    assert Package.load(package) == signed
    seen = "".join(capsys.readouterr()) + caplog.text
    secrets = [REQUEST_TOKEN, *private_sigstore.tokens]
    written = b"".join(path.read_bytes() for path in package.rglob("*") if path.is_file())
    assert len(private_sigstore.tokens) == 2
    assert not any(secret in seen or secret.encode() in written for secret in secrets)


@pytest.mark.parametrize("part", ["token", "fulcio", "rekor"])
def test_a_service_that_fails_is_an_error_and_changes_nothing(
    part: str, package: Path, private_sigstore: PrivateSigstore, capsys: pytest.CaptureFixture[str]
) -> None:
    private_sigstore.broken = part
    before = Package.load(package)
    sign = ["package", "sign", str(package), "--keyless"]
    assert main([*sign, "--trust-config", str(private_sigstore.trust_config)]) == 4
    error = capsys.readouterr().err
    assert "Sigstore cannot sign" in error and "Traceback" not in error
    assert REQUEST_TOKEN not in error and not any(token in error for token in private_sigstore.tokens)
    assert Package.load(package) == before


def test_another_identity_does_not_count_as_this_one(private_sigstore: PrivateSigstore) -> None:
    signer = open_keyless(private_sigstore.trust_config)
    payload = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "a", "digest": {"sha256": "0" * 64}}],
            "predicateType": "https://example.org/p",
            "predicate": {},
        }
    ).encode()
    signature = signer.sign_statement(payload)
    assert signer.name == "repo:acme/coder:ref:refs/heads/main"
    assert signer.has_signed(payload, signature)
    assert not signer.has_signed(payload.replace(b'"a"', b'"b"'), signature)
    assert not signer.has_signed(payload, type(signature)(signature.value, type(signature.material)("hint")))


def test_without_an_identity_or_services_it_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", raising=False)
    with pytest.raises(InputError, match="no identity to sign with"):
        open_keyless(None)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x")
    path = tmp_path / "trust.json"
    for text in ("", "{}", "[]", '{"mediaType": "x"}', "\0"):
        path.write_text(text)
        with pytest.raises(InputError, match="trust config cannot be read"):
            open_keyless(path)
    with pytest.raises(InputError):
        open_keyless(tmp_path / "missing")


def test_the_public_services_out_of_reach_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="Sigstore cannot sign"):
        open_keyless(None).sign_statement(b"{}")
