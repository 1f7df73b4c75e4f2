"""PKCS #11 URIs of keys in a token or a hardware security module (RFC 7512).

parse_pkcs11_uri("pkcs11:token=release;id=%02?module-path=/usr/lib/softhsm/libsofthsm2.so")
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from starfreight.errors import InputError

MODULE_VARIABLE = "PYKCS11LIB"
"""Path of the token's driver, for URIs without ``module-path``."""

_EXAMPLE = "pkcs11:token=release;id=%02?module-path=/usr/lib/softhsm/libsofthsm2.so"
_IGNORED = ("type", "manufacturer", "model", "serial", "slot-id", "module-name")


@dataclass(frozen=True)
class Pkcs11Uri:
    """A key in a token.

    Attributes:
        token: the token's label; ``None`` if there is only one token.
        id: the key's ``CKA_ID`` as a number.
        module: path of the token's driver.
    """

    token: str | None
    id: int
    module: str


def parse_pkcs11_uri(uri: str) -> Pkcs11Uri:
    """Reads a URI. A PIN in it is refused: other users of the machine see the command line.

    Raises:
        InputError: it names no key, no driver, or a PIN. The URI is not quoted: it may hold one.
    """
    path, _, query = uri.removeprefix("pkcs11:").partition("?")
    found: dict[str, bytes] = {}
    for pair in (*path.split(";"), *query.split("&")):
        name, equals, value = pair.partition("=")
        if not pair:
            continue
        if name in ("pin-value", "pin-source"):
            raise _refused("holds a PIN", "leave it out: the PIN is asked for, or STARFREIGHT_KEY_PASSWORD")
        if not equals or name in found or name not in ("token", "id", "module-path", *_IGNORED):
            raise _refused("has a part that is not supported, or the same one twice", f"write {_EXAMPLE}")
        try:
            found[name] = unquote_to_bytes(value)
        except UnicodeEncodeError:
            raise _refused("is not UTF-8", f"write {_EXAMPLE}") from None
    key = found.get("id", b"")
    if not key or key[0] == 0 or len(key) > 8:
        raise _refused("does not name the key by an id of one to eight bytes", f"write {_EXAMPLE}")
    module = os.fsdecode(found.get("module-path", b"")) or os.environ.get(MODULE_VARIABLE, "")
    if "\0" in module or not module or not Path(module).is_file():
        raise _refused(
            "does not name the driver of the token" if not module else "names a driver that does not exist",
            f"add ?module-path=FILE, or set {MODULE_VARIABLE}",
        )
    try:
        token = found["token"].decode() if "token" in found else None
    except UnicodeDecodeError:
        raise _refused("has a label that is not UTF-8", f"write {_EXAMPLE}") from None
    return Pkcs11Uri(token, int.from_bytes(key, "big"), module)


def _refused(what: str, fix: str) -> InputError:
    return InputError(f"The PKCS #11 URI {what}.", where="--key pkcs11:...", fix=fix)
