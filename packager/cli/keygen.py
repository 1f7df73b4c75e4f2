"""``starfreight package keygen``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.options import with_console

PASSWORD = "STARFREIGHT_KEY_PASSWORD"
_LONGEST = 4096
"""Characters of a password."""


@click.command("keygen")
@click.option(
    "--out",
    metavar="NAME",
    type=click.Path(path_type=Path),
    default=Path("starfreight"),
    show_default=True,
    help="Name of the files, without .key and .pub.",
)
@with_console
def keygen(out: Path, console: Console) -> None:
    """Make a key to sign packages with.

    Writes NAME.key, encrypted with a password, and NAME.pub, which verifies the signatures. Give NAME.pub to
    everyone; keep NAME.key and its password to yourself. The password is asked for, or taken from the
    variable STARFREIGHT_KEY_PASSWORD. The key is ECDSA on P-256.

    \b
        starfreight package keygen --out acme
        starfreight package sign packages/NAME --key acme.key
        starfreight package verify packages/NAME --key acme.pub
    """
    from starfreight.packager.provenance.signing.local_key import generate_key

    if out.name in ("", ".."):
        raise click.BadParameter("It names no file.", param_hint="--out")
    private, public = out.with_name(f"{out.name}.key"), out.with_name(f"{out.name}.pub")
    generate_key(private, public, ask_password("Password of the new key", confirm=True))
    console.result(
        {"private_key": str(private), "public_key": str(public)},
        f"Private key written to {private}, public key to {public}.\n"
        f"Next: starfreight package sign PACKAGE --key {private}",
    )


def ask_password(prompt: str, *, confirm: bool = False) -> bytes:
    """The password from the environment, from the user, or without a terminal from standard input.

    Raises:
        InputError: none is given.
    """
    given = os.environ.get(PASSWORD)
    if given is not None:
        return given.encode()
    if _has_terminal():
        asked: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    else:
        asked = sys.stdin.readline(_LONGEST).removesuffix("\n")
        if not asked:
            raise InputError(
                "A password is needed, and there is no terminal to ask for it.",
                where=prompt,
                fix=f"set the variable {PASSWORD}",
            )
    return asked.encode()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return sys.stdin.isatty()
    return True
