"""The options that name the signers to trust, shared by all commands that check signatures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from starfreight.packager.provenance.trust import Trust

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class TrustChoice:
    """Signers to trust, as the options name them.

    Attributes:
        keys: files with public keys.
        identity: pattern of an identity in a signer's certificate.
        issuer: who vouches for that identity.
        trusted_roots: files with roots of private CAs.
    """

    keys: tuple[Path, ...]
    identity: str | None
    issuer: str | None
    trusted_roots: tuple[Path, ...]

    def __bool__(self) -> bool:
        return bool(self.keys or self.trusted_roots) or self.identity is not None or self.issuer is not None

    def load(self) -> Trust:
        """Reads the files.

        Raises:
            StarfreightError: a file cannot be used, or an option lacks another one.
        """
        from starfreight.packager.provenance.trust import load_trust

        return load_trust(
            keys=self.keys, identity=self.identity, issuer=self.issuer, trusted_roots=self.trusted_roots
        )


def trust_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--key``, ``--identity``, ``--issuer`` and ``--trusted-root``.

    They are passed as one :class:`TrustChoice` named ``trusted``, false if none is given.
    """

    @click.option(
        "--key",
        "keys",
        metavar="FILE",
        type=_FILE,
        multiple=True,
        help="Public key of a trusted signer (repeatable).",
    )
    @click.option(
        "--identity",
        metavar="NAME",
        help="Identity in the certificate of a trusted signer, such as a workflow's address. "
        "* stands for a part, ** for any text.",
    )
    @click.option(
        "--issuer",
        metavar="URL",
        help="Issuer of that identity, such as https://token.actions.githubusercontent.com.",
    )
    @click.option(
        "--trusted-root",
        "trusted_roots",
        metavar="FILE",
        type=_FILE,
        multiple=True,
        help="Root of a private CA, in Sigstore's format (repeatable). [default: Sigstore's public instance]",
    )
    @functools.wraps(command)
    def wrapped(
        *arguments: Any,
        keys: tuple[Path, ...],
        identity: str | None,
        issuer: str | None,
        trusted_roots: tuple[Path, ...],
        **options: Any,
    ) -> Any:
        return command(*arguments, trusted=TrustChoice(keys, identity, issuer, trusted_roots), **options)

    return wrapped
