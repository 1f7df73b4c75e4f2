"""The verdict as a SLSA verification summary attestation (VSA), version 1.

    bundle = signed_summary(verdict, signer, datetime.now(UTC))

Source: https://slsa.dev/spec/v1.2/verification_summary. A failed verdict is attested, too.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starfreight import __version__
from starfreight.errors import GateError
from starfreight.files import canonical_json
from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.packager.provenance.signing.interface import Signer
from starfreight.packager.provenance.signing.verified import SignerIdentity
from starfreight.packager.provenance.verify.verdict import Verdict

PREDICATE = "https://slsa.dev/verification_summary/v1"
VERIFIER = "https://starfreight.dev/verifier"
_GITHUB = "https://token.actions.githubusercontent.com"


def signed_summary(verdict: Verdict, signer: Signer, now: datetime) -> bytes:
    """The summary in a Sigstore bundle.

    Args:
        verdict: a verdict about a package whose record can be read.
        signer: the verifier's own.
        now: the time of the verdict.

    Raises:
        GateError: the verdict is about nothing: the record of the package cannot be read.
        InputError: the key cannot be used.
        ServiceError: a service of the signer does not answer.
    """
    payload = summary(verdict, now)
    return Bundle(payload, signer.sign_statement(payload)).as_bytes()


def summary(verdict: Verdict, now: datetime) -> bytes:
    """The statement to sign, as canonical JSON.

    Raises:
        GateError: as for :func:`signed_summary`.
    """
    subjects = [
        {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
        for name, digest in verdict.digests().items()
    ]
    if not subjects:
        raise GateError(
            "No summary of the verdict is written: without a valid package.json it would be about nothing.",
            where=verdict.where,
            fix="get the package again from its source",
        )
    bundles = sorted({each.bundle for each in verdict.signatures.signatures}) if verdict.signatures else []
    policy = verdict.policy.removeprefix("sha256:") if verdict.policy else None
    predicate: dict[str, Any] = {
        "verifier": {"id": VERIFIER, "version": {"starfreight": __version__}},
        "timeVerified": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "resourceUri": resource_uri(verdict),
        "policy": {
            # Without a policy of the user's, the built-in checks are all there is.
            "uri": f"{VERIFIER}/policy" if policy else f"{VERIFIER}/default-policy",
            **({"digest": {"sha256": policy}} if policy else {}),
        },
        "inputAttestations": [{"digest": {"sha256": each.removeprefix("sha256:")}} for each in bundles],
        "verificationResult": "FAILED" if verdict.refused else "PASSED",
        "verifiedLevels": verified_levels(verdict),
        "slsaVersion": "1.2",
    }
    return canonical_json(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": PREDICATE,
            "predicate": predicate,
        }
    )


def verified_levels(verdict: Verdict) -> list[str]:
    """SLSA's build level that the checks showed; ``FAILED`` alone for a refused package.

    Level 1 is a statement that fits the package, signed or not. Level 2 also needs a signature that only the
    hosted platform can make: here, Sigstore's certificate for a workflow on GitHub's own runners. Level 3 is
    never claimed: it depends on the workflow's contents.
    """
    if verdict.refused:
        return ["FAILED"]
    signers = verdict.signatures.signers if verdict.signatures and not verdict.unsigned else ()
    hosted = bool(signers) and all(map(_is_hosted, signers))
    return ["SLSA_BUILD_LEVEL_2" if hosted else "SLSA_BUILD_LEVEL_1"]


def resource_uri(verdict: Verdict) -> str:
    """A package URL of the kind ``oci`` for the manifest that was asked for, or the default variant's first.

    Source: https://github.com/package-url/purl-spec (``oci``). It never holds a path of this machine.
    """
    assert verdict.package is not None
    digest = verdict.asked or verdict.package.default_variant.manifests[0].manifest.digest
    repository = verdict.repository
    name = repository.rpartition("/")[2] if repository else verdict.package.name
    address = f"?repository_url={quote(repository, safe='/')}" if repository else ""
    return f"pkg:oci/{quote(name.lower())}@{quote(digest, safe='')}{address}"


def _is_hosted(signer: SignerIdentity) -> bool:
    claims = signer.claims
    return (
        signer.kind == "sigstore"
        and signer.issuer == _GITHUB
        and claims.get("runner_environment") == "github-hosted"
    )
