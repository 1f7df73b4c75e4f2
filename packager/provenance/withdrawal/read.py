"""Find the withdrawals of a package, in its directory or in a registry.

    for each in read_withdrawals(package, ImageLayout(folder)):
        print(each.reason, each.signer)

Nobody has to be trusted to stop a release: a withdrawal counts whoever signed it. The signature of an unknown
signer cannot be checked, so that its name is a claim.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import no_progress
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE, parse_bundle
from starfreight.packager.provenance.signing.claimed_signer import claimed_signer
from starfreight.packager.provenance.withdrawal.statement import WITHDRAWAL, parse_withdrawal
from starfreight.pages.visible_text import visible
from starfreight.registry.media_types import OCI_INDEX
from starfreight.strict_json import strict_loads

if TYPE_CHECKING:
    from starfreight.packager.provenance.signing.verified import SignatureReport
    from starfreight.packager.registry.remote_manifest import RemoteManifest
    from starfreight.registry.client import RegistryClient

PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType"
MAX_BUNDLE_BYTES = 2 << 20
"""Of a withdrawal. Larger bundles are of other statements."""


@dataclass(frozen=True)
class Withdrawal:
    """A withdrawal of a release.

    Attributes:
        reason: for people.
        withdrawn_on: time in UTC, as the signer states it.
        superseded_by: reference of the release to use instead.
        signer: who signed it, in words.
        known: true if the signature was checked, and is of a signer that the user trusts.
        bundle: digest of the bundle.
    """

    reason: str
    withdrawn_on: str
    superseded_by: str | None
    signer: str
    known: bool
    bundle: str

    def in_words(self) -> str:
        """The withdrawal in a sentence or two."""
        by = self.signer if self.known else f"{self.signer}, whose signature was not checked"
        return f"The release was withdrawn on {self.withdrawn_on} by {by}: {self.reason}"

    def as_sentence(self) -> str:
        """:meth:`in_words` with a full stop, if the reason has none."""
        text = self.in_words()
        return text if text.endswith((".", "!", "?")) else f"{text}."

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "reason": self.reason,
            "withdrawn_on": self.withdrawn_on,
            "superseded_by": self.superseded_by,
            "signer": self.signer,
            "signer_known": self.known,
            "bundle": self.bundle,
        }


def read_withdrawals(
    package: Package, layout: ImageLayout, report: SignatureReport | None = None
) -> tuple[Withdrawal, ...]:
    """The withdrawals attached to a package's manifests, each once, the earliest first.

    Args:
        package: the record.
        layout: its files.
        report: signatures that were checked, to name their signers.

    Raises:
        GateError: the manifest of an attachment is missing or damaged.
    """
    manifests = {each.manifest.digest for variant in package.variants for each in variant.manifests}
    found: dict[str, Withdrawal] = {}
    for attachment in package.attachments:
        if attachment.artifact_type != MEDIA_TYPE or attachment.subject not in manifests:
            continue
        layers = layout.manifest(attachment.manifest).layers
        if len(layers) != 1 or layers[0].size > MAX_BUNDLE_BYTES or layers[0].digest in found:
            continue
        data = layout.read(layers[0], MAX_BUNDLE_BYTES)
        withdrawal = _withdrawal(data, layers[0].digest, (attachment.subject,), layout.where(layers[0]))
        if withdrawal is not None:
            found[layers[0].digest] = withdrawal
    return _sorted(_with_signers(found.values(), report))


def remote_withdrawals(client: RegistryClient, digest: str, where: str) -> tuple[Withdrawal, ...]:
    """The withdrawals attached to a manifest in a registry. Their signatures are not checked.

    Args:
        client: reads the repository.
        digest: of the manifest.
        where: the reference, for errors.

    Raises:
        GateError: the registry sends bytes with another digest, or a malformed manifest.
        ServiceError: the registry cannot be reached, refuses or keeps failing.
    """
    from starfreight.packager.registry.remote_manifest import read_remote
    from starfreight.registry.fetch_blob import fetch_blob

    found: dict[str, Withdrawal] = {}
    for candidate in _candidates(client, digest, where):
        manifest = read_remote(client, candidate, where)
        if manifest is None or len(manifest.layers) != 1:
            continue
        blob = manifest.layers[0]
        if not _may_withdraw(manifest) or blob.size > MAX_BUNDLE_BYTES or blob.digest in found:
            continue
        with tempfile.TemporaryDirectory(prefix="starfreight-") as name:
            path = Path(name) / "bundle"
            fetch_blob(client, blob, path, no_progress, keep_partial=False)
            withdrawal = _withdrawal(path.read_bytes(), blob.digest, (digest,), where)
        if withdrawal is not None:
            found[blob.digest] = withdrawal
    return _sorted(found.values())


def latest_withdrawal(client: RegistryClient, attached: Iterable[RemoteManifest], where: str) -> str | None:
    """The latest withdrawal among manifests attached to a release, in a sentence; ``None`` without one.

    Args:
        client: reads the repository.
        attached: those manifests.
        where: the reference, for errors.

    Raises:
        GateError, ServiceError: as for :func:`remote_withdrawals`.
    """
    subjects = {each.subject.digest: None for each in attached if each.subject and _may_withdraw(each)}
    for digest in subjects:
        if found := remote_withdrawals(client, digest, where):
            return found[-1].as_sentence()
    return None


def _may_withdraw(manifest: RemoteManifest) -> bool:
    """True for the manifest of a bundle that is announced as a withdrawal."""
    if manifest.artifact_type != MEDIA_TYPE:
        return False
    annotations = strict_loads(manifest.data).get("annotations")
    return isinstance(annotations, dict) and annotations.get(PREDICATE_ANNOTATION) == WITHDRAWAL


def _candidates(client: RegistryClient, digest: str, where: str) -> tuple[str, ...]:
    """Referrers that may be withdrawals by the registry's lists, which may leave their types out."""
    from starfreight.packager.registry.remote_manifest import fallback_tag, parse_remote

    found: dict[str, None] = {}
    for data in (*client.referrers(digest), client.get_manifest(fallback_tag(digest), OCI_INDEX)):
        # Proxies answer any address with a page of their own: that is no list.
        if data is None or not data.lstrip().startswith(b"{"):
            continue
        children = parse_remote(data, where).children
        entries = strict_loads(data).get("manifests") or ()
        for child, entry in zip(children, entries, strict=True):
            annotations = entry.get("annotations")
            predicate = annotations.get(PREDICATE_ANNOTATION) if isinstance(annotations, dict) else None
            if entry.get("artifactType", MEDIA_TYPE) == MEDIA_TYPE and predicate in (None, WITHDRAWAL):
                found[child.digest] = None
    return tuple(found)


def _withdrawal(data: bytes, digest: str, subjects: tuple[str, ...], where: str) -> Withdrawal | None:
    """The withdrawal in a bundle; ``None`` for another statement, or one about another package."""
    try:
        bundle = parse_bundle(data, where)
    except GateError:
        return None  # For verify to judge.
    statement = parse_withdrawal(bundle.payload)
    if statement is None or not statement.subjects.issuperset(subjects):
        return None
    predicate = statement.predicate
    return Withdrawal(
        reason=visible(predicate.reason),
        withdrawn_on=predicate.withdrawnOn,
        superseded_by=visible(predicate.supersededBy) if predicate.supersededBy else None,
        signer=claimed_signer(bundle),
        known=False,
        bundle=digest,
    )


def _with_signers(found: Iterable[Withdrawal], report: SignatureReport | None) -> Iterator[Withdrawal]:
    checked = {
        each.bundle: each.signer
        for each in (report.signatures if report is not None else ())
        if each.predicate_type == WITHDRAWAL
    }
    for each in found:
        signer = checked.get(each.bundle)
        yield replace(each, signer=signer.in_words(), known=True) if signer is not None else each


def _sorted(found: Iterable[Withdrawal]) -> tuple[Withdrawal, ...]:
    return tuple(sorted(found, key=lambda each: (each.withdrawn_on, each.bundle)))
