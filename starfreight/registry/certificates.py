"""Certificate authorities that a connection to a registry trusts, and client certificates.

Trusted are those of the variable in force, otherwise those shipped with requests and those of this machine;
for one registry also those in its directory below ``certs.d``, as for Docker, podman and skopeo.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from urllib3.util.ssl_ import create_urllib3_context

from starfreight.errors import InputError
from starfreight.registry.docker_config import home_path

_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""The first one set is in force."""

_FOLDERS = ("~/.config/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d")
"""The first with a directory for the registry is used."""


def certificates(*, insecure: bool = False) -> str | bool:
    """Trusted certificates: a path from the environment, or True for those shipped with requests.

    Args:
        insecure: plain http is used, so that certificates matter for redirections only.

    Raises:
        InputError: the path does not exist, or is a file without certificates, unless ``insecure``.
    """
    variable = _in_force()
    if variable is None:
        return True
    path = os.environ[variable]
    if not os.access(path, os.R_OK):
        if insecure:
            return True
        raise InputError(
            f"{variable} names a file that does not exist or cannot be read.",
            where=f"environment, {variable}={path[:200]}",
            fix="set it to a file of CA certificates in PEM format, or unset it",
        )
    if not insecure and Path(path).is_file() and not _has_certificates(Path(path)):
        raise InputError(
            f"{variable} names a file without certificates.",
            where=f"environment, {variable}={path[:200]}",
            fix="set it to a file of CA certificates in PEM format, or unset it",
        )
    return path


def _has_certificates(path: Path) -> bool:
    """True if a file has a certificate in PEM format in its first 16 MiB."""
    with path.open("rb") as stream:
        return b"CERTIFICATE-----" in stream.read(16 << 20)


def tls_context(host: str) -> ssl.SSLContext:
    """Context with what is trusted beyond :func:`certificates`.

    Args:
        host: the registry, with the port if there is one.

    Raises:
        InputError: a file for this registry is not a certificate, or a client certificate lacks its key.
    """
    context = create_urllib3_context()
    if _in_force() is None:
        context.load_default_certs()
    folder = _folder(host)
    for path in sorted(folder.iterdir()) if folder is not None else ():
        try:
            if path.suffix == ".crt":
                context.load_verify_locations(path)
            elif path.suffix == ".cert":
                context.load_cert_chain(path, path.with_suffix(".key"))
        except OSError as error:  # ssl.SSLError is one.
            raise InputError(
                f"The registry's certificate file cannot be used: {error.strerror or error}.",
                where=str(path),
                fix="write a CA as NAME.crt, a client certificate as NAME.cert with NAME.key, all as PEM",
            ) from error
    return context


def certificate_advice(host: str) -> str:
    """The remedy for an untrusted certificate, with the variable that is in force."""
    variable = _in_force()
    folder = f"{_FOLDERS[0]}/{host}"
    if variable is None:
        return f"set SSL_CERT_FILE to your CA's certificate, or copy it to {folder}/ca.crt"
    over = "" if variable == _VARIABLES[-1] else f", which is in force before {_VARIABLES[-1]}"
    return (
        f"add your CA's certificate to the file named by {variable} ({os.environ[variable][:200]}){over}, or "
        f"copy it to {folder}/ca.crt"
    )


def _in_force() -> str | None:
    return next((name for name in _VARIABLES if os.environ.get(name)), None)


def _folder(host: str) -> Path | None:
    for each in _FOLDERS:
        folder = home_path(each) / host
        # Not Path.is_dir, which raises PermissionError.
        if os.access(folder, os.F_OK) and os.access(folder, os.R_OK | os.X_OK):
            return folder
    return None
