"""Sigstore's instances: certificates for an identity, with an entry in a transparency log.

sigstore-python verifies them (the extra ``starfreight[sigstore]``), without a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any

from cryptography import x509

from starfreight.errors import InputError
from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.packager.provenance.signing.verified import SignerIdentity
from starfreight.packager.provenance.trust.certificates import certificate_hint, trusted_certificate
from starfreight.packager.provenance.trust.fulcio_extensions import read_claims
from starfreight.packager.provenance.trust.identity import TrustedIdentity, identity_misfit
from starfreight.packager.provenance.trust.interface import WrongSignatureError
from starfreight.packager.provenance.trust.trusted_root import TrustedRoot, parse_trusted_roots

if TYPE_CHECKING:
    from sigstore.verify import Verifier

_INSTANCE = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"


class SigstoreVerifier:
    """Verifies bundles with a certificate and a log entry.

    Args:
        root: of the instance.
        identities: the trusted ones.
    """

    def __init__(self, root: TrustedRoot, identities: Sequence[TrustedIdentity]) -> None:
        self._root, self._identities = root, tuple(identities)

    def accepts(self, bundle: Bundle) -> bool:
        """See :meth:`BundleVerifier.accepts`."""
        return bundle.signature.material.certificate is not None

    def verify(self, bundle: Bundle, data: bytes) -> SignerIdentity:
        """See :meth:`BundleVerifier.verify`."""
        certificate, claims = trusted_certificate(bundle, self._root.authorities, self._identities)
        if not bundle.signature.material.log_entries:
            raise WrongSignatureError("has no entry in a transparency log, which its trusted root demands")
        verifier = self._verifier
        from sigstore.models import Bundle as SigstoreBundle

        try:
            _, payload = verifier.verify_dsse(SigstoreBundle.from_json(data), _Policy(self._identities))
        except Exception as error:  # Bundles are hostile, and it raises errors of its parsers, too.
            reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
            raise WrongSignatureError(f"does not verify: {reason}") from error
        if payload != bundle.payload:
            raise WrongSignatureError("has a payload that programs read in two ways")
        return SignerIdentity(
            "sigstore",
            claims.identity,
            certificate_hint(certificate),
            claims.identity,
            claims.issuer,
            claims.values,
            _signed_at(bundle),
        )

    @cached_property
    def _verifier(self) -> Verifier:
        require_sigstore()
        from sigstore.errors import Error
        from sigstore.models import TrustedRoot as SigstoreRoot
        from sigstore.verify import Verifier
        from sigstore_models.trustroot.v1 import TrustedRoot as Inner

        try:
            return Verifier(trusted_root=SigstoreRoot(Inner.from_json(self._root.data)))
        except (Error, ValueError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0][:200]
            raise InputError(
                f"The trusted root cannot be used for Sigstore's bundles: {reason}.",
                where=self._root.where,
                fix="give trusted_root.json of a Sigstore instance",
            ) from error


class _Policy:
    """A policy of sigstore-python's verifier. Its own ones know no patterns."""

    def __init__(self, identities: Sequence[TrustedIdentity]) -> None:
        self._identities = identities

    def verify(self, certificate: x509.Certificate) -> None:
        """Raise VerificationError for a certificate of another identity."""
        from sigstore.errors import VerificationError

        misfit = identity_misfit(self._identities, read_claims(certificate))
        if misfit is not None:
            raise VerificationError(misfit)


def public_good_root() -> TrustedRoot:
    """The root of Sigstore's public instance, as installed with sigstore-python.

    Raises:
        InputError: the extra is not installed.
    """
    require_sigstore()
    file = resources.files("sigstore._store") / _INSTANCE / "trusted_root.json"
    (root,) = parse_trusted_roots(file.read_bytes(), "the trusted root of sigstore-python")
    return root


def require_sigstore() -> None:
    """Make sure that sigstore-python is installed.

    Raises:
        InputError: it is not.
    """
    try:
        import sigstore  # noqa: F401
    except ImportError as error:
        raise InputError(
            "Identities of Sigstore's instances need sigstore-python, which is not installed.",
            fix="pip install 'starfreight[sigstore]'; or name the root of a private CA: --trusted-root FILE",
        ) from error


def _signed_at(bundle: Bundle) -> datetime | None:
    """The time in the verified log entry; without one, that of the verified timestamp."""
    entry: Any = bundle.signature.material.log_entries[0]
    # A time without a promise is not signed by the log.
    seconds = int(entry.get("integratedTime") or 0) if entry.get("inclusionPromise") else 0
    if seconds:
        return datetime.fromtimestamp(seconds, UTC)
    from rfc3161_client import decode_timestamp_response

    stamps = bundle.signature.material.timestamps
    return decode_timestamp_response(stamps[0]).tst_info.gen_time if stamps else None
