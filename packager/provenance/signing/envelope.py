"""DSSE: the bytes that a signature covers.

Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md.
"""

from __future__ import annotations

from starfreight.packager.media_types import IN_TOTO

PAYLOAD_TYPE = IN_TOTO
"""Of every payload here: an in-toto statement."""


def pre_authentication_encoding(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """The bytes to sign for a payload: its type and itself, each with its length."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
