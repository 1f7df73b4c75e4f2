"""The extensions that Fulcio defines for certificates: who signed, from which repository and workflow.

    claims = read_claims(certificate)
    print(claims.identity, claims.issuer, claims.values["source_repository_uri"])

Source: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md. Extensions up to .6 hold raw text,
later ones a DER UTF8String.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat import asn1

FULCIO = "1.3.6.1.4.1.57264.1"
_RAW = {
    1: "issuer", 2: "github_workflow_trigger", 3: "github_workflow_sha", 4: "github_workflow_name",
    5: "github_workflow_repository", 6: "github_workflow_ref",
}  # fmt: skip
_ENCODED = {
    8: "issuer", 9: "build_signer_uri", 10: "build_signer_digest", 11: "runner_environment",
    12: "source_repository_uri", 13: "source_repository_digest", 14: "source_repository_ref",
    15: "source_repository_identifier", 16: "source_repository_owner_uri",
    17: "source_repository_owner_identifier", 18: "build_config_uri", 19: "build_config_digest",
    20: "build_trigger", 21: "run_invocation_uri", 22: "source_repository_visibility",
    23: "deployment_environment",
}  # fmt: skip
CLAIMS = tuple(dict.fromkeys([*_ENCODED.values(), *_RAW.values()]))[1:]
"""Names of claims, without the issuer."""
_OTHER_NAME = f"{FULCIO}.7"
_MAX_LENGTH = 4096


@dataclass(frozen=True)
class CertificateClaims:
    """The signer as a certificate describes it.

    Attributes:
        identity: the subject alternative name: a URI, an email address, or Fulcio's name of a user.
        issuer: the OpenID Connect issuer; ``None`` without one.
        values: the other claims by their names in :data:`CLAIMS`.
    """

    identity: str
    issuer: str | None
    values: Mapping[str, str]


def read_claims(certificate: x509.Certificate) -> CertificateClaims:
    """The claims of a certificate.

    Raises:
        ValueError: an extension is malformed, two of them contradict each other, or there is not exactly one
            subject alternative name. Completes the sentence "It ...".
    """
    try:
        extensions = certificate.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError("has a certificate with malformed extensions") from error
    values: dict[str, str] = {}
    for extension in extensions:
        base, _, last = extension.oid.dotted_string.rpartition(".")
        if base != FULCIO or not isinstance(extension.value, x509.UnrecognizedExtension):
            continue
        number = int(last)
        name = _RAW.get(number) or _ENCODED.get(number)
        if name is None:
            continue
        text = _text(extension.value.value, raw=number in _RAW, name=name)
        if values.setdefault(name, text) != text:
            raise ValueError(f"has a certificate with two contradicting values of {name}")
    issuer = values.pop("issuer", None)
    return CertificateClaims(_identity(extensions), issuer, values)


def _text(data: bytes, *, raw: bool, name: str) -> str:
    try:
        text = data.decode() if raw else asn1.decode_der(str, data)
    except ValueError as error:
        raise ValueError(f"has a certificate in which {name} is not a UTF-8 text in DER") from error
    if not text or len(text) > _MAX_LENGTH or not text.isprintable():
        raise ValueError(f"has a certificate in which {name} is empty, too long or not printable")
    return text


def _identity(extensions: x509.Extensions) -> str:
    try:
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound as error:
        raise ValueError("has a certificate without a subject alternative name") from error
    if len(names) != 1:
        raise ValueError("has a certificate with several subject alternative names")
    (name,) = names
    if isinstance(name, x509.OtherName) and name.type_id.dotted_string == _OTHER_NAME:
        return _text(name.value, raw=False, name="the subject alternative name")
    if isinstance(name, x509.UniformResourceIdentifier | x509.RFC822Name | x509.DNSName):
        text = name.value
        if text and len(text) <= _MAX_LENGTH and text.isprintable():
            return text
    raise ValueError("has a certificate whose subject alternative name is not a URI or an email address")
