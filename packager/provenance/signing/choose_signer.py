"""Choose a signer: a key, a key with a certificate, or the identity of a person or a workflow.

signer = open_signer(SignerChoice(key="acme.key"), ask)
signer = open_signer(SignerChoice(keyless=True), ask)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError
from starfreight.packager.provenance.signing.interface import Key, Signer

Ask = Callable[[str], str]
"""Asks for a secret; the argument names it."""

_ADDRESS = re.compile(r"([a-z][a-z0-9]*):(//|[a-z-]+=)")


@dataclass(frozen=True)
class SignerChoice:
    """A user's choice of a signer.

    Attributes:
        key: a file, or the address of a key in a token or a service.
        certificate: of the key, by a private CA.
        timestamps: address of the timestamp authority that goes with the certificate.
        keyless: sign with an identity of OpenID Connect through Sigstore.
        trust_config: a private Sigstore's services; the public ones by default.
    """

    key: str | None = None
    certificate: Path | None = None
    timestamps: str | None = None
    keyless: bool = False
    trust_config: Path | None = None

    def __bool__(self) -> bool:
        """True if a signer is chosen."""
        return self.keyless or self.key is not None

    def problem(self) -> str | None:
        """A sentence about options that do not belong together; ``None`` if all do."""
        if self.key is not None and self.keyless:
            return "A key and keyless signing exclude each other."
        if (self.certificate is None) != (self.timestamps is None):
            return "A certificate and a timestamp authority belong together."
        if self.certificate is not None and self.key is None:
            return "A certificate needs its key."
        if self.trust_config is not None and not self.keyless:
            return "A trust config is for keyless signing."
        return None


def open_signer(choice: SignerChoice, ask: Ask) -> Signer:
    """Opens a signer.

    Args:
        choice: without a problem.
        ask: asks for a password or a PIN.

    Raises:
        InputError: the key, the certificate or the identity cannot be used, or a library is missing.
        ServiceError: a token or a service does not answer.
    """
    if (problem := choice.problem()) is not None:
        raise InputError(problem, fix="see starfreight package sign --help")
    if choice.keyless:
        from starfreight.packager.provenance.signing.keyless import open_keyless

        return open_keyless(choice.trust_config)
    if choice.key is None:
        raise InputError("No signer is chosen.", fix="add --key FILE, or --keyless")
    key = open_key(choice.key, ask)
    if choice.certificate is None or choice.timestamps is None:
        return key
    from starfreight.packager.provenance.signing.certificate import CertificateSigner, read_certificate
    from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority

    authority = TimestampAuthority(choice.timestamps)
    certificate = read_certificate(choice.certificate)
    return CertificateSigner(key, certificate, authority, str(choice.certificate))


def open_key(key: str, ask: Ask) -> Key:
    """Opens a key in a file, a token or a service.

    Raises:
        InputError: no such key, another password, or a library is missing.
        ServiceError: the token or the service does not answer.
    """
    address = _ADDRESS.match(key)
    if address is None:
        from starfreight.packager.provenance.signing.local_key import LocalKey, is_encrypted

        path = Path(key)
        password = ask(f"Password of {path}").encode() if is_encrypted(path) else None
        return LocalKey.load(path, password)
    try:
        from starfreight.packager.provenance.signing.library_key import KINDS, open_library_key

        if address[1] in KINDS:
            return open_library_key(key, ask)
    except ImportError as error:
        raise InputError(
            "The library for keys in tokens and services is not installed.",
            where=address[1],
            fix="pip install 'starfreight[hsm]'",
        ) from error
    raise InputError(
        f"Keys of the kind {address[1]} are not supported.",
        where="--key",
        fix=f"name a file, or one of {', '.join(KINDS)}",
    )
