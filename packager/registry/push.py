"""Publish a package: blobs, then manifests, then attachments, then tags.

A tag moves only when everything it refers to is in the registry, so a reader never finds half a model. After
an interruption the same command completes the upload: blobs already in the registry are found by their digest
and not sent again. Each byte is hashed once: small files before anything is sent, the others while they are,
and a registry never gets the end of a damaged one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Descriptor, Package, PackagedManifest, Variant
from starfreight.packager.evaluation.gate import check_gate
from starfreight.packager.layout.verify import verify_layout
from starfreight.packager.provenance.duties import check_license_gate
from starfreight.packager.provenance.withdrawal.read import read_withdrawals
from starfreight.packager.provenance.withdrawal.refuse import refuse_withdrawn
from starfreight.packager.registry.choose_formats import choose_formats
from starfreight.packager.registry.earlier_tags import Prune, earlier_tags, prune
from starfreight.packager.registry.limits import check_limits
from starfreight.packager.registry.look_back import check_attachments, check_blobs, check_tag
from starfreight.packager.registry.package_record import PackageRecord
from starfreight.packager.registry.published import Published, PublishedTag
from starfreight.packager.registry.send_blobs import send_blobs
from starfreight.packager.registry.simple_signatures import push_simple_signatures
from starfreight.quantization import Quantization
from starfreight.registry import TagReference, is_local, parse_destination
from starfreight.registry.media_types import DOCKER_MANIFEST

if TYPE_CHECKING:
    from starfreight.packager.registry.client_probe import Probe
    from starfreight.registry.publishing import PublishingClient

Sign = Callable[[str], object]
"""Signs a package; the argument is the repository that it goes to, ``HOST/PATH``."""

HASHED_WHILE_SENT = 8 << 20
"""Bytes. Larger blobs are hashed while they are sent, and not before."""


def publish(
    package_dir: Path,
    reference: TagReference | str,
    *,
    insecure: bool,
    console: Console,
    formats: tuple[str, ...] | None = None,
    mount_from: tuple[str, ...] = (),
    prune_tags: Prune | None = None,
    default: Quantization | None = None,
    sign: Sign | None = None,
    force: bool = False,
) -> Published:
    """Push a package to a registry: each variant at ``TAG-q4_K_M``, the default also at ``TAG``.

    These tags are Ollama's manifests; ModelPack's are at the same tags with ``-oci``, Docker's with
    ``-docker``.

    Args:
        package_dir: the package's directory.
        reference: ``HOST/NAMESPACE/NAME:TAG``; deeper paths have no manifests for Ollama.
        insecure: use plain HTTP.
        console: shows progress.
        formats: kinds of manifests to publish; by default Ollama's and ModelPack.
        mount_from: repositories of the same registry (``namespace/name``) that may hold the blobs.
        prune_tags: what to do with tags of this version that an earlier release set and this one does not.
        default: the variant at the plain tag; the package's own by default.
        sign: signs the package once its gates are passed.
        force: publish a withdrawn package, too; its withdrawal goes along.

    Raises:
        InputError: no package there, a format or variant that it does not have, or a reference that clients
            could not pull.
        GateError: the package misses its quality rules or was not measured, a duty of its licenses is not
            met, it is withdrawn, or a file of it is damaged or too large for the registry.
        ServiceError: the registry cannot be reached, refuses, keeps failing, or has something else in the
            end.
    """
    # oras and requests take a third of a second to import; parsing a reference needs neither.
    from starfreight.packager.install.install import choose_variant
    from starfreight.registry.publishing import PublishingClient
    from starfreight.registry.referrers import attach_all

    target = parse_destination(reference) if isinstance(reference, str) else reference
    package = Package.load(package_dir)
    layout = ImageLayout(package_dir)
    chosen = choose_formats(target, formats, with_adapter=package.adapter is not None)
    _check_formats(package, chosen, package_dir)
    plain = choose_variant(package, default, str(package_dir))
    verdict = check_gate(package_dir, package, default=plain.quantization)
    for note in check_license_gate(package_dir, package).notes:
        console.note(f"License: {note}")
    if not force:
        refuse_withdrawn(read_withdrawals(package, layout), str(package_dir))
    if sign is not None:
        sign(f"{target.host}/{target.repository}")
        package = Package.load(package_dir)
    manifests = _manifests(layout, package, chosen)
    attachments = _attachments(package, manifests)
    record = PackageRecord(package, layout)
    blobs = _blobs(layout, [*manifests, *(each.manifest for each in attachments)])
    blobs = tuple({each.digest: each for each in (*record.blobs, *blobs)}.values())
    check_limits(target.host, layout, blobs)
    verify_layout(package_dir, console, hash_up_to=HASHED_WHILE_SENT)

    client = PublishingClient(target, insecure=insecure)
    if insecure and client.has_credentials and not is_local(target.host):
        console.note(f"Warning: the password is sent to {target.host} over plain HTTP, readable by others.")
    client.connect()
    sent = send_blobs(client, record, blobs, mount_from, console)
    for descriptor in manifests:
        _put(client, layout, descriptor, descriptor.digest)
    records = record.attachments({each.digest for each in manifests})
    attach_all(client, [*((each, layout.read(each.manifest)) for each in attachments), *records])
    push_simple_signatures(client, package, layout, {each.digest for each in manifests})
    tags = _tags(package, plain, target.tag, chosen)
    for published, descriptor in tags:
        _put(client, layout, descriptor, published.tag)

    check_blobs(client, blobs, target)
    for published, descriptor in tags:
        check_tag(client, layout, descriptor, target, published.tag)
    check_attachments(client, (*attachments, *(each for each, _ in records)), target)
    left = _left_tags(client, target, tags, console)
    if prune_tags is not None and left:
        defaults = {each.suffix: (each.manifest, layout.read(each.manifest)) for each in _of(plain, chosen)}
        prune(client, left, prune_tags, defaults, target)
    return Published(
        reference=str(target),
        tags=tuple(published for published, _ in tags),
        attachments=len(attachments),
        bytes_sent=sent,
        bytes_present=sum(blob.size for blob in blobs) - sent,
        left_tags=() if prune_tags is not None else left,
        pruned_tags=left if prune_tags is not None else (),
        probe=_probe(target, chosen, insecure=insecure),
        quality=verdict,
    )


def _probe(target: TagReference, formats: tuple[str, ...], *, insecure: bool) -> Probe | None:
    from starfreight.packager.registry.client_probe import probe_ollama
    from starfreight.registry import ollama_objection

    if "ollama" not in formats and ollama_objection(target) is None:
        return None
    return probe_ollama(target, insecure=insecure)


def _check_formats(package: Package, formats: tuple[str, ...], folder: Path) -> None:
    for variant in package.variants:
        missing = set(formats) - {each.format for each in variant.manifests}
        if missing:
            raise InputError(
                f"The package has no manifests in the format {min(missing)}: an earlier version built it.",
                where=str(folder),
                fix="build it again from its run with starfreight package build, into another directory",
            )


def _of(variant: Variant, formats: tuple[str, ...]) -> list[PackagedManifest]:
    return [each for each in variant.manifests if each.format in formats]


def _manifests(layout: ImageLayout, package: Package, formats: tuple[str, ...]) -> tuple[Descriptor, ...]:
    """The manifests at the tags, each once. Their bytes are checked here."""
    found = {
        each.manifest.digest: each.manifest for variant in package.variants for each in _of(variant, formats)
    }
    for descriptor in found.values():
        layout.read(descriptor)
    return tuple(found.values())


def _attachments(package: Package, manifests: tuple[Descriptor, ...]) -> tuple[Attachment, ...]:
    """Attachments of these manifests, and attachments of those, in the package's order."""
    known = {descriptor.digest for descriptor in manifests}
    chosen = []
    for attachment in package.attachments:
        if attachment.subject in known:
            known.add(attachment.manifest.digest)
            chosen.append(attachment)
    return tuple(chosen)


def _blobs(layout: ImageLayout, manifests: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """Every blob of the manifests, each once."""
    blobs = {}
    for descriptor in manifests:
        manifest = layout.manifest(descriptor)
        for blob in (manifest.config, *manifest.layers):
            with layout.open(blob):
                blobs[blob.digest] = blob
    return tuple(blobs.values())


def _tags(
    package: Package, plain: Variant, tag: str, formats: tuple[str, ...]
) -> list[tuple[PublishedTag, Descriptor]]:
    """The tags in the order in which they move: the plain one last."""
    named = [(f"{tag}-{variant.tag}", variant) for variant in package.variants]
    named.append((tag, plain))
    return [
        (
            PublishedTag(name + each.suffix, each.format, str(variant.quantization), each.manifest.digest),
            each.manifest,
        )
        for name, variant in named
        for each in reversed(_of(variant, formats))
    ]


def _put(client: PublishingClient, layout: ImageLayout, descriptor: Descriptor, tag: str) -> None:
    from starfreight.registry.publishing import ManifestRefused

    if client.manifest_digest(tag, descriptor.media_type) == descriptor.digest:
        return
    try:
        client.put_manifest(tag, descriptor.media_type, layout.read(descriptor))
    except ManifestRefused as error:
        if descriptor.media_type != DOCKER_MANIFEST or error.status not in (400, 406, 415, 422):
            raise
        raise ServiceError(
            f"The registry refuses Docker's manifests, the only ones that Ollama reads ({error.what[:-1]}).",
            where=error.where,
            fix="publish without them: --format modelpack, or publish.formats: [modelpack] in the recipe; or "
            'have the registry accept them (zot: "compat": ["docker2s2"] in its section http)',
        ) from error


def _left_tags(
    client: PublishingClient,
    target: TagReference,
    tags: list[tuple[PublishedTag, Descriptor]],
    console: Console,
) -> tuple[str, ...]:
    try:
        left = earlier_tags(client, target.tag, frozenset(published.tag for published, _ in tags))
    except ServiceError:
        left = None
    if left is None:
        console.note("The registry does not list its tags: those of an earlier release are not looked for.")
    return left or ()
