"""Check the signatures of a package: every bundle, and the statement in it against the package as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from starfreight.console import human_count
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Attachment, Descriptor, Package
from starfreight.packager.provenance.signing.bundle import MAX_BUNDLE_BYTES, MEDIA_TYPE, Bundle, parse_bundle
from starfreight.packager.provenance.signing.signed_statement import statements_to_sign
from starfreight.packager.provenance.signing.verified import (
    SignatureReport,
    SignerIdentity,
    VerifiedSignature,
)
from starfreight.packager.provenance.statement import PREDICATE_TYPE
from starfreight.packager.provenance.trust.interface import (
    BundleVerifier,
    UnknownSignerError,
    WrongSignatureError,
)
from starfreight.packager.provenance.trust.signed_payload import PayloadCheck
from starfreight.packager.provenance.trust.trust import Trust
from starfreight.pages.visible_text import shortened, visible

MAX_BUNDLES = 10_000
_MAX_LISTED = 100
_OTHER_KIND = "is of another kind of signer than the trusted ones"


def verify_signatures(layout: ImageLayout, package: Package, trust: Trust) -> SignatureReport:
    """Check the signatures of a package whose files have the right digests.

    Every manifest of every variant needs a signature of its provenance by a trusted signer. Whatever a
    trusted signer signed has to be about this package as it is. Bundles of others are only counted.

    Args:
        layout: its files; models are not read.
        package: its record.
        trust: the signers; without any, bundles are counted and nothing is checked.

    Raises:
        GateError: the package's own statements cannot be read, or it has too many bundles.
        InputError: a library for a kind of signer is not installed.
    """
    attached = _bundles(package)
    if not trust:
        return SignatureReport(False, unknown=len(attached))
    reader = _Reader(layout, trust.verifiers())
    statements = statements_to_sign(package, layout)
    payloads = PayloadCheck(package, statements)
    signatures: list[VerifiedSignature] = []
    problems: list[str] = []
    untrusted: dict[str, None] = {}
    unknown = 0
    for attachment, tag in attached:
        try:
            found = reader.read(attachment)
        except UnknownSignerError as error:
            unknown += 1
            untrusted[_sentence("A bundle", tag, str(error))] = None
            continue
        except WrongSignatureError as error:
            problems.append(_sentence("The bundle", tag, str(error)))
            continue
        problem = payloads.problem(found.bundle.payload, attachment.subject)
        if problem is not None:
            what = f"is signed by {found.signer.in_words()}, but {problem}"
            problems.append(_sentence("The bundle", tag, what))
            continue
        signatures.append(
            VerifiedSignature(
                attachment.subject,
                payloads.predicate_type(found.bundle.payload),
                found.bundle.payload,
                found.signer,
                found.layer.digest,
            )
        )
    signed = {each.subject for each in signatures if payloads.is_provenance(each.payload)}
    known = {each.payload for each in signatures}
    return SignatureReport(
        checked=True,
        signatures=tuple(signatures),
        problems=_listed(problems),
        unknown=unknown,
        unsigned=tuple(tag for digest, tag in _manifests(package) if digest not in signed),
        # A wrong identity says more than a key among certificates.
        untrusted=_listed(sorted(untrusted, key=lambda each: _OTHER_KIND in each)),
        unsigned_statements=tuple(
            each.predicate_type
            for each in statements
            if each.payload not in known and each.predicate_type != PREDICATE_TYPE
        ),
    )


@dataclass(frozen=True)
class _SignedBundle:
    layer: Descriptor
    bundle: Bundle
    signer: SignerIdentity


@dataclass(frozen=True)
class _Refused:
    """The reason, without the exception: its traceback would keep the bundle in memory."""

    reason: str
    is_wrong: bool = False


@dataclass
class _Reader:
    """Reads and verifies bundles. One blob is often attached to several manifests, and verified once."""

    layout: ImageLayout
    verifiers: tuple[BundleVerifier, ...]
    _known: dict[str, _SignedBundle | _Refused] = field(default_factory=dict)

    def read(self, attachment: Attachment) -> _SignedBundle:
        """The bundle of an attachment.

        Raises:
            UnknownSignerError, WrongSignatureError: see :class:`BundleVerifier`.
        """
        try:
            manifest = self.layout.manifest(attachment.manifest)
        except GateError as error:
            raise UnknownSignerError(
                f"has a manifest that cannot be read: {error.what.rstrip('.')}"
            ) from error
        if len(manifest.layers) != 1 or manifest.layers[0].media_type != MEDIA_TYPE:
            raise UnknownSignerError("has a manifest without exactly one bundle")
        if manifest.subject is None or manifest.subject.digest != attachment.subject:
            raise UnknownSignerError("has a manifest of another subject than its record")
        (layer,) = manifest.layers
        if layer.digest not in self._known:
            self._known[layer.digest] = self._verified(layer)
        found = self._known[layer.digest]
        if isinstance(found, _Refused):
            raise (WrongSignatureError if found.is_wrong else UnknownSignerError)(found.reason)
        return found

    def _verified(self, layer: Descriptor) -> _SignedBundle | _Refused:
        try:
            data = self.layout.read(layer, MAX_BUNDLE_BYTES)
            bundle = parse_bundle(data, self.layout.where(layer))
        except GateError as error:
            return _Refused(f"cannot be read: {error.what.rstrip('.')}")
        wrong: _Refused | None = None
        unknown = _Refused(_OTHER_KIND)
        for verifier in self.verifiers:
            if not verifier.accepts(bundle):
                continue
            try:
                return _SignedBundle(layer, bundle, verifier.verify(bundle, data))
            except WrongSignatureError as error:
                wrong = wrong or _Refused(str(error), is_wrong=True)
            except UnknownSignerError as error:
                unknown = _Refused(str(error))
        return wrong or unknown


def _manifests(package: Package) -> Iterator[tuple[str, str]]:
    """Digest and tag of each manifest."""
    for variant in package.variants:
        for each in variant.manifests:
            yield each.manifest.digest, f"{variant.tag}{each.suffix}"


def _bundles(package: Package) -> list[tuple[Attachment, str]]:
    """The attached bundles, with the tag of the manifest."""
    tags = dict(_manifests(package))
    found = [
        (each, tags.get(each.subject, each.subject))
        for each in package.attachments
        if each.artifact_type == MEDIA_TYPE
    ]
    if len(found) > MAX_BUNDLES:
        raise GateError(
            f"The package has {human_count(len(found), 'bundles')}; the limit is {MAX_BUNDLES:,}.",
            fix="get the package again from its source",
        )
    return found


def _sentence(start: str, tag: str, what: str) -> str:
    return f"{start} of {tag} {shortened(visible(what), 500)}."


def _listed(sentences: Iterable[str]) -> tuple[str, ...]:
    found = tuple(sentences)
    more = len(found) - _MAX_LISTED
    return found if more <= 0 else (*found[:_MAX_LISTED], f"And {more:,} more.")
