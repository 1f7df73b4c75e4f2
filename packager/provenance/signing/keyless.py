"""Keyless signing through Sigstore, as the workflow that runs this, or as a person.

    signer = open_keyless(trust_config=None)

A certificate for some minutes names the identity, and a log proves the time. Workflows of GitHub Actions (and
of other hosts that sigstore knows) have an identity of their own; at a terminal, a browser asks who you are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.errors import GateError, InputError, ServiceError, StarfreightError
from starfreight.files import read_limited
from starfreight.packager.provenance.signing.bundle import Bundle, parse_bundle
from starfreight.packager.provenance.signing.interface import Signature

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer as SigstoreSigner

_LIMIT = 4 << 20
_AUDIENCE = "sigstore"


class KeylessSigner:
    """An identity of OpenID Connect. Each one signs with a key that it forgets.

    Args:
        trust_config: the services and their roots; ``None`` for the public ones, which are asked for late.
    """

    def __init__(self, trust_config: ClientTrustConfig | None) -> None:
        self._config = trust_config
        self._token: IdentityToken | None = None
        self._signer: SigstoreSigner | None = None

    @property
    def name(self) -> str:
        """The identity, once it is known."""
        return self._token.identity if self._token is not None else "this workflow or person"

    def sign_statement(self, payload: bytes) -> Signature:
        """See :meth:`Signer.sign_statement`."""
        from sigstore.dsse import Statement

        with _explained():
            signed = self._open().sign_dsse(Statement(payload)).to_json()
        try:
            bundle = parse_bundle(signed.encode(), "Sigstore")
        except GateError as error:
            raise ServiceError(
                f"Sigstore's answer cannot be used: {error.what}",
                fix="report it, with the version of sigstore",
            ) from error
        if bundle.payload != payload or not bundle.signature.material.log_entries:
            raise ServiceError("Sigstore signed something else.", fix="check the services of --trust-config")
        return bundle.signature

    def has_signed(self, payload: bytes, signature: Signature) -> bool:
        """See :meth:`Signer.has_signed`: the same identity, by a certificate of these services."""
        from sigstore.errors import Error
        from sigstore.models import Bundle as SigstoreBundle
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity

        if signature.material.certificate is None:
            return False
        with _explained():
            self._open()
            config, token = self._trust(), self._token
        assert token is not None
        try:
            bundle = SigstoreBundle.from_json(Bundle(payload, signature).as_bytes())
            identity = Identity(identity=_in_certificate(token), issuer=token.federated_issuer)
            Verifier(trusted_root=config.trusted_root).verify_dsse(bundle, identity)
        except (Error, ValueError, TypeError, LookupError):
            return False
        return True

    def _open(self) -> SigstoreSigner:
        from sigstore.sign import Signer, SigningContext

        if self._signer is None:
            config = self._trust()
            self._token = _identity(config)
            self._signer = Signer(self._token, SigningContext.from_trust_config(config))
        return self._signer

    def _trust(self) -> ClientTrustConfig:
        from sigstore.models import ClientTrustConfig

        if self._config is None:
            self._config = ClientTrustConfig.production()
        return self._config


def open_keyless(trust_config: Path | None) -> KeylessSigner:
    """Prepares keyless signing. Nobody is asked yet: tokens are valid for minutes.

    Args:
        trust_config: services of a private Sigstore, as ``sigstore --trust-config`` takes it.

    Raises:
        InputError: the library is missing, the file cannot be read, or there is no identity here.
    """
    try:
        from sigstore.errors import Error
        from sigstore.models import ClientTrustConfig
    except ImportError as error:
        raise InputError(
            "The library for keyless signing is not installed.", fix="pip install 'starfreight[sigstore]'"
        ) from error
    if not _has_ambient_identity() and not sys.stdin.isatty():
        raise InputError(
            "There is no identity to sign with: this is not a workflow with an identity token, and there is "
            "no terminal to sign in at.",
            fix="on GitHub, give the job the permission id-token: write; elsewhere sign with --key",
        )
    if trust_config is None:
        return KeylessSigner(None)
    data = read_limited(trust_config, _LIMIT, "trust config")
    try:
        config = ClientTrustConfig.from_json(data.decode())
        _ = config.signing_config, config.trusted_root
    except (Error, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(
            "The trust config cannot be read.",
            where=str(trust_config),
            fix="give the services and roots of a Sigstore (application/vnd.dev.sigstore.clienttrustconfig)",
        ) from error
    return KeylessSigner(config)


def _has_ambient_identity() -> bool:
    return "ACTIONS_ID_TOKEN_REQUEST_TOKEN" in os.environ or any(
        name in os.environ for name in ("GITLAB_CI", "BUILDKITE", "CIRCLECI")
    )


def _identity(config: ClientTrustConfig) -> IdentityToken:
    """The token of this workflow, or of a person at the terminal."""
    from id import detect_credential
    from sigstore.oidc import IdentityToken, Issuer

    token = detect_credential(_AUDIENCE)
    if token is not None:
        return IdentityToken(token, _AUDIENCE)
    return Issuer(config.signing_config.get_oidc_url()).identity_token()


def _in_certificate(token: IdentityToken) -> str:
    """The identity as Fulcio writes it: of a workflow, its address."""
    import jwt

    claims = jwt.decode(str(token), options={"verify_signature": False})  # Fulcio has verified it.
    workflow = claims.get("job_workflow_ref")
    return f"https://github.com/{workflow}" if workflow else token.identity


@contextmanager
def _explained() -> Iterator[None]:
    """Turns the errors of Sigstore's client into one for people. Its messages may quote tokens."""
    try:
        yield
    except StarfreightError:
        raise
    except Exception as error:
        raise ServiceError(
            f"Sigstore cannot sign: {_kind(error)}.",
            where="--keyless",
            fix="check the network, the permission id-token: write, and --trust-config; then sign again",
        ) from None


def _kind(error: BaseException) -> str:
    """The kinds of an error and of its causes, without their messages."""
    kinds: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(kinds) < 3:
        kinds.append(type(cause).__name__)
        cause = cause.__cause__
    return ", because of ".join(kinds)
