"""Withdraw a release: sign a statement about it, and attach it to each of its manifests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.layout.attach_evidence import attach
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE, Bundle, parse_bundle
from starfreight.packager.provenance.signing.interface import Signer
from starfreight.packager.provenance.signing.sign_package import bundle_evidence
from starfreight.packager.provenance.withdrawal.read import MAX_BUNDLE_BYTES
from starfreight.packager.provenance.withdrawal.statement import (
    WITHDRAWAL,
    parse_withdrawal,
    withdrawal_statement,
)

if TYPE_CHECKING:
    from starfreight.packager.registry.open_package import Opened


@dataclass(frozen=True)
class Withdrawn:
    """The result of a withdrawal.

    Attributes:
        where: the package as the user named it.
        manifests: number of manifests with the withdrawal.
        added: number of those that did not have it before.
        pushed: number of attachments pushed to the registry; ``None`` for a directory.
    """

    where: str
    manifests: int
    added: int
    pushed: int | None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "package": self.where,
            "manifests": self.manifests,
            "added": self.added,
            "pushed": self.pushed,
        }


def withdraw(
    opened: Opened,
    signer: Signer,
    reason: str,
    superseded_by: str | None,
    now: datetime,
    console: Console,
    *,
    insecure: bool = False,
) -> Withdrawn:
    """Withdraw an opened package. A withdrawal by the same signer for the same reason is completed only.

    Args:
        opened: a directory, or a release in a registry, which then gets the withdrawal.
        signer: signs it.
        reason: for people.
        superseded_by: reference of the release to use instead.
        now: time in UTC.
        console: shows progress.
        insecure: use plain HTTP for the registry.

    Raises:
        InputError: the reason cannot be used, or the key.
        GateError: a manifest of the package is missing or damaged.
        ServiceError: the disk is full, or a service of the signer or the registry does not answer.
    """
    from starfreight.packager.registry.publish_evidence import publish_evidence

    package, layout = opened.package, ImageLayout(opened.folder)
    payload = withdrawal_statement(package, reason, superseded_by, now)
    earlier = next(_earlier(package, layout, signer, payload), None)
    bundle = earlier or Bundle(payload, signer.sign_statement(payload)).as_bytes()
    manifests = {
        each.manifest.digest: each.manifest for variant in package.variants for each in variant.manifests
    }
    evidence = [bundle_evidence(each, bundle, WITHDRAWAL, package.created) for each in manifests.values()]
    extended = attach(opened.folder, evidence, console)
    added = len(extended.attachments) - len(package.attachments)
    pushed = None
    if opened.reference is not None:
        pushed = len(publish_evidence(opened, console, insecure=insecure))
    return Withdrawn(opened.where, len(manifests), added, pushed)


def _earlier(package: Package, layout: ImageLayout, signer: Signer, payload: bytes) -> Iterator[bytes]:
    """Bundles of the signer with this withdrawal, apart from its time."""
    asked = parse_withdrawal(payload)
    assert asked is not None
    for attachment in package.attachments:
        if attachment.artifact_type != MEDIA_TYPE:
            continue
        layers = layout.manifest(attachment.manifest).layers
        if len(layers) != 1 or layers[0].size > MAX_BUNDLE_BYTES:
            continue
        data = layout.read(layers[0], MAX_BUNDLE_BYTES)
        try:
            bundle = parse_bundle(data, layout.where(layers[0]))
        except GateError:
            continue
        there = parse_withdrawal(bundle.payload)
        if there is None:
            continue
        on = {"withdrawnOn": asked.predicate.withdrawnOn}
        same = there.model_copy(update={"predicate": there.predicate.model_copy(update=on)}) == asked
        if same and signer.has_signed(bundle.payload, bundle.signature):
            yield data
