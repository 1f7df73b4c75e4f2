"""Manifests of artifacts by their digests, verified."""

from __future__ import annotations

from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.registry.reference import DigestReference, is_local


def fetch_manifest(reference: DigestReference, accepted: str) -> tuple[bytes, bool]:
    """The manifest, and true if it came over plain http, which only registries on this machine may use.

    Args:
        reference: the artifact.
        accepted: media types, separated by commas.

    Raises:
        InputError: the artifact does not exist or cannot be accessed.
        GateError: the registry sends a manifest with another digest.
        ServiceError: the registry cannot be reached, refuses or keeps failing.
    """
    # oras and requests take a third of a second to import.
    from starfreight.registry.client import RegistryClient
    from starfreight.registry.credentials import advice
    from starfreight.registry.failures import speaks_no_tls

    insecure = False
    try:
        data = RegistryClient(reference, insecure=False).get_manifest(reference.digest, accepted)
    except ServiceError as error:
        if not is_local(reference.host) or not speaks_no_tls(error.__cause__):
            raise
        insecure = True
        data = RegistryClient(reference, insecure=True).get_manifest(reference.digest, accepted)
    if data is None:
        raise InputError(
            "The artifact does not exist or cannot be accessed.",
            where=str(reference),
            fix="check the path and the digest; for a private artifact, "
            + advice(reference.host, destination=False),
        )
    if sha256_bytes(data) != reference.digest:
        raise GateError(
            "The registry sends a manifest that does not match the digest.",
            where=str(reference),
            fix="do not use it; ask the operator of the registry",
        )
    return data, insecure
