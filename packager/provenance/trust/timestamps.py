"""RFC 3161 timestamps: the time of a signature, proven by a trusted authority."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography import x509

from starfreight.packager.provenance.trust.interface import WrongSignatureError
from starfreight.packager.provenance.trust.trusted_root import Authority

if TYPE_CHECKING:
    from rfc3161_client import Verifier


def proven_times(
    stamps: Sequence[bytes], signature: bytes, authorities: Sequence[Authority]
) -> tuple[datetime, ...]:
    """The times of a signature.

    Args:
        stamps: an authority's answers, in DER.
        signature: the signature they are about.
        authorities: trusted timestamp authorities.

    Raises:
        WrongSignatureError: none of the timestamps verifies.
    """
    if not stamps:
        raise WrongSignatureError("has no timestamp: nothing proves that its certificate was valid")
    times, problems = [], []
    for stamp in stamps:
        found = _time(stamp, signature, authorities)
        if isinstance(found, datetime):
            times.append(found)
        else:
            problems.append(found)
    if not times:
        raise WrongSignatureError(problems[0])
    return tuple(times)


def _time(stamp: bytes, signature: bytes, authorities: Sequence[Authority]) -> datetime | str:
    """A timestamp's time, or the problem with it."""
    from rfc3161_client import VerificationError, decode_timestamp_response

    try:
        response = decode_timestamp_response(stamp)
        time = response.tst_info.gen_time
    except ValueError:
        return "has a timestamp that cannot be read"
    problem = "has a timestamp of an authority that is not trusted"
    for authority in authorities:
        try:
            _verifier(authority).verify_message(response, signature)
        except VerificationError as error:
            if "Mismatch between messages" in str(error):
                problem = "has a timestamp of another signature"
            continue
        except (ValueError, x509.DuplicateExtension):
            continue
        if authority.is_valid_at(time):
            return time
        problem = f"has a timestamp of {time:%Y-%m-%d %H:%M}, when its authority was not in use"
    return problem


def _verifier(authority: Authority) -> Verifier:
    from rfc3161_client import VerifierBuilder

    first, *_ = authority.certificates
    *others, root = authority.certificates
    builder = VerifierBuilder().add_root_certificate(root)
    # The first one stamps, unless it is a CA: then the answer has the stamping certificate.
    if others and not _is_ca(first):
        builder, others = builder.tsa_certificate(first), others[1:]
    for each in others:
        builder = builder.add_intermediate_certificate(each)
    return builder.build()


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
