"""Evidence about a package: bytes attached to one of its manifests."""

from __future__ import annotations

from starfreight.package import Descriptor, MediaType
from starfreight.records import Part


class Evidence(Part):
    """A signature, a statement or a report about one manifest of a package."""

    subject: Descriptor
    """The manifest, a variant's or another attachment's."""
    data: bytes
    media_type: MediaType
    """Of ``data``."""
    artifact_type: MediaType
    """Registries filter their list of referrers by it."""
    annotations: dict[str, str]
    """Registries show them in that list. Equal evidence has equal annotations: leave the time of day out."""
