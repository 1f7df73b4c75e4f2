"""The plug point of verification: a kind of trusted signer checks a bundle."""

from __future__ import annotations

from typing import Protocol

from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.packager.provenance.signing.verified import SignerIdentity


class UnknownSignerError(Exception):
    """The bundle is of another signer than the trusted ones. Completes the sentence "It ..."."""


class WrongSignatureError(Exception):
    """The bundle claims to be of a trusted signer, and is wrong. Completes the sentence "It ..."."""


class BundleVerifier(Protocol):
    """Verifies bundles of one kind of signer."""

    def accepts(self, bundle: Bundle) -> bool:
        """True if bundles of this form are for this verifier: with a certificate, or with a key's hint."""
        ...

    def verify(self, bundle: Bundle, data: bytes) -> SignerIdentity:
        """Verify the signature of the payload. The payload itself may be anything.

        Args:
            bundle: the bundle.
            data: its JSON, as it was read.

        Raises:
            UnknownSignerError: of a signer that is not trusted.
            WrongSignatureError: of a trusted signer, but its signature, certificate or time is wrong.
            InputError: a library for this kind is not installed.
        """
        ...
