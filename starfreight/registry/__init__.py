"""Client for registries of the OCI distribution specification: references, requests, manifests.

reference = parse_digest_reference("registry.example.org/team/data@sha256:...")
client = RegistryClient(reference, insecure=False)  # from starfreight.registry.client, which imports oras
"""

from starfreight.registry.reference import (
    DigestReference,
    Reference,
    TagReference,
    is_local,
    ollama_objection,
    parse_destination,
    parse_digest_reference,
    parse_reference,
    parse_tag_reference,
)

__all__ = [
    "DigestReference",
    "Reference",
    "TagReference",
    "is_local",
    "ollama_objection",
    "parse_destination",
    "parse_digest_reference",
    "parse_reference",
    "parse_tag_reference",
]
