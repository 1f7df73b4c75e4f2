"""Keys in tokens and key management services, through securesystemslib.

    key = open_library_key("pkcs11:token=release;id=%02?module-path=...", ask)
    key = open_library_key("awskms:///alias/release", ask)

The addresses are those that cosign takes. Services use the credentials of the environment, as their own
command lines do. Keys are ECDSA on P-256.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from starfreight.errors import GateError, InputError, ServiceError
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.interface import Material, Signature
from starfreight.packager.provenance.signing.local_key import check_signature, key_has_signed, key_hint
from starfreight.packager.provenance.signing.pkcs11_uri import MODULE_VARIABLE, parse_pkcs11_uri

if TYPE_CHECKING:
    from securesystemslib.signer import Signer as LibrarySigner
    from securesystemslib.signer import SSlibKey

Ask = Callable[[str], str]
"""Asks for a secret; the argument names it."""

_SCHEME = "ecdsa-sha2-nistp256"


class LibraryKey:
    """A key that securesystemslib signs with."""

    def __init__(self, signer: LibrarySigner, public: ec.EllipticCurvePublicKey, name: str) -> None:
        self._signer, self._public = signer, public
        self.name = name

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """See :meth:`Key.public_key`."""
        return self._public

    def sign(self, message: bytes) -> Signature:
        """See :meth:`Key.sign`. Two signatures of one message differ."""
        try:
            value = bytes.fromhex(self._signer.sign(message).signature)
            check_signature(self._public, message, value)
        except GateError as error:
            raise ServiceError(
                "The signature is not of the public key of the same name.",
                where=self.name,
                fix="check that the key's private and public halves belong together, and its version",
            ) from error
        except Exception as error:  # Every service's client has errors of its own.
            raise _failed(error, self.name) from None
        return Signature(value, Material(key_hint=key_hint(self._public)))

    def sign_statement(self, payload: bytes) -> Signature:
        """See :meth:`Signer.sign_statement`."""
        return self.sign(pre_authentication_encoding(payload))

    def has_signed(self, payload: bytes, signature: Signature) -> bool:
        """See :meth:`Signer.has_signed`."""
        return key_has_signed(self._public, payload, signature)


def open_library_key(address: str, ask: Ask) -> LibraryKey:
    """Opens a key in a token or a service. Its public half is read.

    Args:
        address: begins with one of :data:`KINDS`.
        ask: asks for the PIN of a token.

    Raises:
        InputError: the address is not valid, the library is not installed, or the key is of another kind.
        ServiceError: the token or the service does not answer or refuses.
    """
    kind = address.partition(":")[0]
    name = f"{kind}: key" if kind == "pkcs11" else address
    try:
        signer, public = KINDS[kind](address, ask)
        key = _crypto_key(public)
    except (InputError, ServiceError, KeyboardInterrupt):
        raise
    except Exception as error:  # Every service's client has errors of its own.
        raise _failed(error, name) from None
    return LibraryKey(signer, key, name)


def _pkcs11(address: str, ask: Ask) -> tuple[LibrarySigner, SSlibKey]:
    from securesystemslib.signer import HSMSigner

    uri = parse_pkcs11_uri(address)
    os.environ[MODULE_VARIABLE] = uri.module
    pins: list[str] = []

    def pin(secret: str) -> str:
        """Asked for once."""
        if not pins:
            pins.append(ask("PIN of the token"))
        return pins[0]

    pin("")  # At once: the signature may come hours later.
    _, public = HSMSigner.import_(uri.id, uri.token, pin)
    return HSMSigner(uri.id, public, pin, uri.token), public


def _aws(address: str, ask: Ask) -> tuple[LibrarySigner, SSlibKey]:
    from securesystemslib.signer import AWSSigner

    endpoint, _, key = address.removeprefix("awskms://").partition("/")
    if not key:
        raise _address(address, "awskms:///alias/NAME or awskms:///KEY-ID")
    if endpoint:
        os.environ["AWS_ENDPOINT_URL_KMS"] = f"https://{endpoint}"
    _, public = AWSSigner.import_(key, _SCHEME)
    return AWSSigner(key, public), public


def _gcp(address: str, ask: Ask) -> tuple[LibrarySigner, SSlibKey]:
    from securesystemslib.signer import GCPSigner

    key = address.removeprefix("gcpkms://").replace("/versions/", "/cryptoKeyVersions/")
    if not key.startswith("projects/") or "/cryptoKeyVersions/" not in key:
        raise _address(address, "gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/versions/VERSION")
    _, public = GCPSigner.import_(key)
    return GCPSigner(key, public), public


def _azure(address: str, ask: Ask) -> tuple[LibrarySigner, SSlibKey]:
    from securesystemslib.signer import AzureSigner

    vault, _, key = address.removeprefix("azurekms://").partition("/")
    if not vault or not key or "/" in key:
        raise _address(address, "azurekms://VAULT.vault.azure.net/KEY")
    uri, public = AzureSigner.import_(vault.partition(".")[0], key)
    return AzureSigner.from_priv_key_uri(uri, public), public


def _vault(address: str, ask: Ask) -> tuple[LibrarySigner, SSlibKey]:
    import hvac
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey, VaultSigner

    name = address.removeprefix("hashivault://")
    if not name or "/" in name:
        raise _address(address, "hashivault://KEY")
    # VaultSigner.import_ reads Ed25519 keys alone; it signs with others, too.
    versions = hvac.Client().secrets.transit.read_key(name)["data"]["keys"]
    version = max(versions, key=int)
    public = load_pem_public_key(versions[version]["public_key"].encode())
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise _other_kind(address)
    key = SSlibKey.from_crypto(public, scheme=_SCHEME)
    return VaultSigner(name, key, int(version)), key


KINDS: Mapping[str, Callable[[str, Ask], tuple[LibrarySigner, SSlibKey]]] = {
    "pkcs11": _pkcs11,
    "awskms": _aws,
    "gcpkms": _gcp,
    "azurekms": _azure,
    "hashivault": _vault,
}
"""Opens a key, by the first part of its address."""


def _crypto_key(public: SSlibKey) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(public.keyval["public"].encode()) if public.scheme == _SCHEME else None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _other_kind(public.scheme)
    return key


def _other_kind(where: str) -> InputError:
    return InputError(
        "The key is not an ECDSA key on the curve P-256, which all verifiers read.",
        where=where,
        fix="make one of this kind, and sign with it",
    )


def _address(address: str, form: str) -> InputError:
    return InputError("The address of the key is not valid.", where=address, fix=f"write {form}")


def _failed(error: Exception, name: str) -> InputError | ServiceError:
    """The error for people. Messages of clients may quote requests with their secrets, so only types show."""
    from securesystemslib.exceptions import UnsupportedLibraryError

    if isinstance(error, UnsupportedLibraryError | ImportError):
        kind = name.partition(":")[0]
        extra = "hsm" if kind == "pkcs11" else _EXTRAS.get(kind, "hsm")
        return InputError(
            "The library for this kind of key is not installed.",
            where=name,
            fix=f"pip install 'starfreight[{extra}]'",
        )
    kind = type(error).__name__
    if isinstance(error, ValueError) and kind == "ValueError":
        kind = str(error)[:200]
    return ServiceError(
        f"The key cannot be used: {kind or 'no answer'}.",
        where=name,
        fix="check the address, the PIN or the credentials, and that the key allows signing",
    )


_EXTRAS = {"awskms": "aws-kms", "gcpkms": "gcp-kms", "azurekms": "azure-kms", "hashivault": "vault"}
