"""Bundles of Sigstore's instances: a real one of the public instance, and its mutations."""

from __future__ import annotations

import base64
import builtins
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ca_lab import CaLab

from starfreight.errors import InputError
from starfreight.packager.provenance.signing.bundle import parse_bundle
from starfreight.packager.provenance.signing.verified import SignerIdentity
from starfreight.packager.provenance.trust import Trust, load_trust
from starfreight.packager.provenance.trust.interface import UnknownSignerError, WrongSignatureError
from starfreight.packager.provenance.trust.trusted_root import TrustedRoot

DATA = (Path(__file__).parent / "data/public-good.sigstore.json").read_bytes()
REPOSITORY = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon"
IDENTITY = f"{REPOSITORY}/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def verify(data: bytes, trust: Trust) -> SignerIdentity:
    (verifier,) = trust.verifiers()
    return verifier.verify(parse_bundle(data, "bundle"), data)


def test_a_real_bundle_verifies_without_a_network(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        signer = verify(DATA, load_trust(identity=IDENTITY, issuer=ISSUER))
    assert (signer.kind, signer.identity, signer.issuer) == ("sigstore", IDENTITY, ISSUER)
    assert signer.claims["source_repository_uri"] == REPOSITORY
    assert signer.signed_at is not None and f"{signer.signed_at:%Y-%m-%d %H:%M}" == "2024-12-16 18:42"
    assert not caplog.records


@pytest.mark.parametrize(
    "chosen",
    [
        {"identity": IDENTITY[:-1]},
        {"identity": "https://github.com/*/.github/**"},
        {"identity": "**", "issuer": "https://accounts.google.com"},
        {"claims": {"source_repository_uri": "https://github.com/acme/coder"}},
        {"claims": {"deployment_environment": "*x"}},
    ],
)
def test_another_identity_is_unknown(chosen: dict[str, Any]) -> None:
    with pytest.raises(UnknownSignerError):
        verify(DATA, load_trust(**{"issuer": ISSUER, **chosen}))


def flip(text: str) -> str:
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    return base64.b64encode(data).decode()


Change = Callable[[dict[str, Any]], object]


def entry(bundle: dict[str, Any]) -> dict[str, Any]:
    return bundle["verificationMaterial"]["tlogEntries"][0]  # type: ignore[no-any-return]


MUTATIONS: dict[str, Change] = {
    "payload": lambda b: b["dsseEnvelope"].update(payload=flip(b["dsseEnvelope"]["payload"])),
    "signature": lambda b: b["dsseEnvelope"]["signatures"][0].update(
        sig=flip(b["dsseEnvelope"]["signatures"][0]["sig"])
    ),
    "no entry": lambda b: b["verificationMaterial"]["tlogEntries"].clear(),
    "two entries": lambda b: b["verificationMaterial"]["tlogEntries"].append(entry(b)),
    "body": lambda b: entry(b).update(canonicalizedBody=flip(entry(b)["canonicalizedBody"])),
    "time": lambda b: entry(b).update(integratedTime=str(int(entry(b)["integratedTime"]) + 3600)),
    "no promise": lambda b: entry(b).pop("inclusionPromise"),
    "promise": lambda b: entry(b).update(inclusionPromise={"signedEntryTimestamp": "MAA="}),
    "no proof": lambda b: entry(b).pop("inclusionProof"),
    "proof": lambda b: entry(b)["inclusionProof"].update(
        rootHash=flip(entry(b)["inclusionProof"]["rootHash"])
    ),
    "checkpoint": lambda b: entry(b)["inclusionProof"].update(checkpoint={"envelope": "x"}),
    "entry of another kind": lambda b: entry(b).update(kindVersion={"kind": "x", "version": "0.0.1"}),
    "entry of nothing": lambda b: b["verificationMaterial"].update(tlogEntries=[{}]),
}


@pytest.mark.parametrize("change", MUTATIONS.values(), ids=MUTATIONS)
def test_a_changed_bundle_is_refused(change: Change) -> None:
    bundle = json.loads(DATA)
    change(bundle)
    with pytest.raises(WrongSignatureError) as caught:
        verify(json.dumps(bundle).encode(), load_trust(identity=IDENTITY, issuer=ISSUER))
    assert str(caught.value)


def test_without_a_log_entry_a_timestamp_will_not_do() -> None:
    bundle = json.loads(DATA)
    bundle["verificationMaterial"]["tlogEntries"] = []
    with pytest.raises(WrongSignatureError, match="no entry in a transparency log"):
        verify(json.dumps(bundle).encode(), load_trust(identity=IDENTITY, issuer=ISSUER))


def test_a_certificate_of_another_instance_is_unknown(
    require_service: Callable[[str], str], tmp_path: Path
) -> None:
    require_service("openssl")
    lab = CaLab(tmp_path)
    trust = load_trust(identity="**", issuer=ISSUER)
    with pytest.raises(UnknownSignerError, match="none of the trusted authorities"):
        verify(lab.bundle(b"{}"), trust)
    with pytest.raises(UnknownSignerError, match="none of the trusted authorities"):
        verify(DATA, load_trust(identity="**", trusted_roots=[lab.trusted_root]))


def test_without_sigstore_python_one_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *others: Any) -> Any:
        if name.partition(".")[0] == "sigstore":
            raise ImportError(name)
        return real(name, *others)

    monkeypatch.setattr(builtins, "__import__", without)
    trust = load_trust(identity="**", issuer=ISSUER)
    with pytest.raises(InputError, match="not installed") as caught:
        trust.verifiers()
    assert "pip install 'starfreight[sigstore]'" in str(caught.value.fix)


def test_an_identity_of_the_public_instance_needs_its_issuer() -> None:
    with pytest.raises(InputError, match="needs its issuer"):
        load_trust(identity=IDENTITY)


def test_a_root_with_logs_that_sigstore_cannot_use_is_an_input_error(tmp_path: Path) -> None:
    from starfreight.packager.provenance.trust.identity import TrustedIdentity
    from starfreight.packager.provenance.trust.sigstore_instance import SigstoreVerifier, public_good_root

    root = public_good_root()
    broken = TrustedRoot(root.where, root.authorities, (), True, b'{"mediaType":"x"}')
    with pytest.raises(InputError, match="cannot be used"):
        SigstoreVerifier(broken, [TrustedIdentity("**")]).verify(parse_bundle(DATA, "b"), DATA)
