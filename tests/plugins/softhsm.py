"""A token of SoftHSM with keys in it, as a hardware security module holds them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PIN = "canary-4711"
_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")


@dataclass(frozen=True)
class Token:
    """A token.

    Attributes:
        uri: of an ECDSA key on P-256.
        other: of one on P-384.
        public: the first key's public half, in PEM.
        module: the token's driver.
    """

    uri: str
    other: str
    public: Path
    module: str


@pytest.fixture(scope="session")
def token(require_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    """Made before the driver is loaded: it reads its tokens once for each process."""
    program = require_service("softhsm2-util")
    module = next(path for path in _MODULES if Path(path).exists())
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    environment = {**os.environ, "SOFTHSM2_CONF": str(settings)}
    pins = ["--pin", PIN, "--so-pin", "12345678"]

    def run(*options: str) -> None:
        subprocess.run([program, *options], env=environment, check=True, capture_output=True)

    run("--init-token", "--free", "--label", "release", *pins)
    for number, curve in (("02", ec.SECP256R1()), ("03", ec.SECP384R1())):
        key = ec.generate_private_key(curve)
        (folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / f"{number}.pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        imported = ["--import", str(folder / "key.pem"), "--token", "release", "--label", number]
        run(*imported, "--id", number, "--pin", PIN)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(settings)
    uri = f"pkcs11:token=release;id=%{{}}?module-path={module}"
    yield Token(uri.format("02"), uri.format("03"), folder / "02.pub", module)
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before
