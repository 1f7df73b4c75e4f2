"""The manifest of a model at a reference, of any client's format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starfreight.errors import InputError
from starfreight.packager.registry.remote_manifest import RemoteManifest, read_remote
from starfreight.registry import DigestReference, TagReference, parse_digest_reference, parse_tag_reference
from starfreight.strict_json import strict_loads

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

AnyReference = DigestReference | TagReference


def parse_any_reference(text: str) -> AnyReference:
    """Parse ``HOST/PATH:TAG`` or ``HOST/PATH@sha256:...``, with or without ``oci://``.

    Raises:
        InputError: malformed.
    """
    text = text.removeprefix("oci://")
    return parse_digest_reference(text) if "@" in text else parse_tag_reference(text)


def read_model(client: RegistryClient, reference: AnyReference) -> RemoteManifest:
    """Read the manifest at a reference.

    Raises:
        InputError: there is none, or it is an index of several.
        GateError: the manifest is malformed, or does not have the digest of the reference.
        ServiceError: the registry cannot be reached, refuses or keeps failing.
    """
    name = reference.digest if isinstance(reference, DigestReference) else reference.tag
    manifest = read_remote(client, name, str(reference))
    if manifest is None:
        from starfreight.registry.credentials import advice

        raise InputError(
            "The registry has no such model, or denies access to it.",
            where=str(reference),
            fix="check repository and tag; for a private model, " + advice(reference.host, destination=False),
        )
    if manifest.config is None:
        raise InputError(
            "The reference names an index of several manifests, not a model.",
            where=str(reference),
            fix="name the tag of a model",
        )
    return manifest


def layer_annotations(manifest: RemoteManifest) -> list[dict[str, str]]:
    """The annotations of each layer; values other than text are left out."""
    found = []
    for layer in strict_loads(manifest.data)["layers"]:
        annotations = layer.get("annotations")
        pairs = annotations.items() if isinstance(annotations, dict) else ()
        found.append({key: text for key, text in pairs if isinstance(text, str)})
    return found
