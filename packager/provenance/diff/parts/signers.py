"""The signers of the packages, as their bundles name them."""

from __future__ import annotations

from starfreight.console import printable
from starfreight.errors import GateError
from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.signing.bundle import MAX_BUNDLE_BYTES, MEDIA_TYPE, parse_bundle
from starfreight.packager.provenance.withdrawal.read import PREDICATE_ANNOTATION
from starfreight.packager.provenance.withdrawal.statement import WITHDRAWAL

_MOST = 100


class SignersPart:
    """Keys and certificates of the signatures, without those of withdrawals. Nothing is verified."""

    name = "signers"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        one, two = _signers(before), _signers(after)
        if one == two:
            return None
        lines = [f"- {name}" for name in sorted(one - two)] + [f"+ {name}" for name in sorted(two - one)]
        data = {"before": sorted(one), "after": sorted(two), "verified": False}
        return Section((*map(printable, lines), "(as the signatures claim; not verified)"), data)


def _signers(side: Side) -> set[str]:
    found: set[str] = set()
    for attachment in side.package.attachments[: _MOST * _MOST]:
        if attachment.artifact_type != MEDIA_TYPE or len(found) >= _MOST:
            continue
        try:
            manifest = side.layout.manifest(attachment.manifest)
            if manifest.annotations.get(PREDICATE_ANNOTATION) == WITHDRAWAL:
                continue
            (layer,) = manifest.layers
            bundle = parse_bundle(side.layout.read(layer, MAX_BUNDLE_BYTES), side.layout.where(layer))
        except (GateError, ValueError):
            found.add("unreadable signature")
            continue
        material = bundle.signature.material
        found.add(
            f"key {material.key_hint}" if material.key_hint else _certificate(material.certificate or b"")
        )
    return found or {"unsigned"}


def _certificate(data: bytes) -> str:
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(data)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        identity = next((str(each.value) for each in names), "")
        return f"certificate of {identity or certificate.subject.rfc4514_string()}"
    except x509.ExtensionNotFound:
        return f"certificate of {certificate.subject.rfc4514_string()}"
    except Exception:  # Parsers of hostile certificates raise errors of many kinds.
        return "unreadable certificate"
