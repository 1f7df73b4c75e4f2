"""The signer of a bundle by the bundle's own account, before anything is verified."""

from __future__ import annotations

from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.pages.visible_text import shortened, visible

_LONGEST = 300


def claimed_signer(bundle: Bundle) -> str:
    """A claim, in words: ``the key with the hint ...``, ``the certificate of https://github.com/...``."""
    material = bundle.signature.material
    if material.certificate is None:
        return f"the key with the hint {_short(material.key_hint or '')}"
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        certificate = x509.load_der_x509_certificate(material.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        values = [str(each.value) for each in names]
    except (ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound, x509.DuplicateExtension):
        values = []
    return f"the certificate of {_short(values[0])}" if values else "a certificate without a name"


def _short(text: str) -> str:
    return shortened(visible(text), _LONGEST)
