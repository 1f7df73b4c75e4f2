"""The signers to trust: keys, and identities under trusted roots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError
from starfreight.packager.provenance.trust.identity import TrustedIdentity
from starfreight.packager.provenance.trust.interface import BundleVerifier
from starfreight.packager.provenance.trust.keys import KeyVerifier, TrustedKey
from starfreight.packager.provenance.trust.trusted_root import TrustedRoot, read_trusted_roots


@dataclass(frozen=True)
class RootedIdentities:
    """Identities, and the roots that their certificates come from.

    Attributes:
        identities: any of them is trusted.
        roots: empty for Sigstore's public instance.
    """

    identities: tuple[TrustedIdentity, ...]
    roots: tuple[TrustedRoot, ...] = ()


@dataclass(frozen=True)
class Trust:
    """The signers that a user trusts; any of them will do. False without any.

    Attributes:
        keys: bare keys.
        rooted: identities with their roots.
    """

    keys: tuple[TrustedKey, ...] = ()
    rooted: tuple[RootedIdentities, ...] = ()

    def __bool__(self) -> bool:
        """True if there is a signer to trust."""
        return bool(self.keys or self.rooted)

    def __or__(self, other: Trust) -> Trust:
        """The signers of both."""
        return Trust(self.keys + other.keys, self.rooted + other.rooted)

    def verifiers(self) -> tuple[BundleVerifier, ...]:
        """A verifier for each kind of signer and each root.

        Raises:
            InputError: a library is not installed.
        """
        return tuple(self._verifiers())

    def _verifiers(self) -> Iterator[BundleVerifier]:
        from starfreight.packager.provenance.trust.private_ca import PrivateCaVerifier
        from starfreight.packager.provenance.trust.sigstore_instance import SigstoreVerifier, public_good_root

        if self.keys:
            yield KeyVerifier(self.keys)
        for each in self.rooted:
            for root in each.roots or (public_good_root(),):
                kind = SigstoreVerifier if root.has_logs else PrivateCaVerifier
                yield kind(root, each.identities)


def load_trust(
    *,
    keys: Iterable[Path] = (),
    identity: str | None = None,
    issuer: str | None = None,
    claims: Mapping[str, str] | None = None,
    trusted_roots: Iterable[Path] = (),
) -> Trust:
    """The signers named by a command's options.

    Args:
        keys: files of public keys.
        identity: subject alternative name, exact or with ``*`` and ``**``.
        issuer: OpenID Connect issuer of that identity.
        claims: further claims of that identity; see :class:`TrustedIdentity`.
        trusted_roots: files; by default the root of Sigstore's public instance.

    Raises:
        InputError: a file cannot be used, or an option lacks its companion.
    """
    roots = tuple(root for path in trusted_roots for root in read_trusted_roots(path))
    rooted: tuple[RootedIdentities, ...] = ()
    if identity is not None or claims:
        chosen = TrustedIdentity(identity, issuer, claims or {})
        rooted = (rooted_identities([chosen], roots),)
    elif issuer is not None or roots:
        raise InputError(
            "A trusted root or an issuer alone would trust everybody with one of its certificates.",
            fix="name the signer: --identity NAME, with * for a part and ** for any text",
        )
    return Trust(tuple(TrustedKey.read(path) for path in keys), rooted)


def rooted_identities(
    identities: Iterable[TrustedIdentity], roots: tuple[TrustedRoot, ...]
) -> RootedIdentities:
    """Identities under roots.

    Raises:
        InputError: an identity of Sigstore's public instance, where everybody gets a certificate, lacks its
            issuer.
    """
    chosen = tuple(identities)
    if not roots and any(each.issuer is None for each in chosen):
        raise InputError(
            "An identity of Sigstore's public instance needs its issuer: others could issue the same name.",
            fix="give --issuer, such as https://token.actions.githubusercontent.com; or --trusted-root FILE "
            "of a private CA",
        )
    return RootedIdentities(chosen, roots)
