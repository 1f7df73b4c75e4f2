"""RFC 3161 timestamps: the proof that a signature existed while its certificate was valid."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starfreight.errors import InputError, ServiceError

if TYPE_CHECKING:
    from requests import PreparedRequest

_LIMIT = 64 << 10
_TIMEOUT = (10, 30)
_BUSY = (429, 500, 502, 503, 504)


class TimestampAuthority:
    """A timestamp authority's address. Its answers are signed, so plain HTTP is as good as HTTPS.

    Raises:
        InputError: not an address of a web server.
    """

    def __init__(self, address: str) -> None:
        try:
            parts = urlsplit(address)
            shown = f"{parts.scheme}://{parts.hostname}"
            named = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
        except ValueError:
            shown, named = "--timestamps", None
        if not named or parts.username or parts.password or not address.isprintable() or " " in address:
            raise InputError(
                "The address of the timestamp authority is not valid.",
                where=shown,
                fix="give an address such as https://tsa.example.org/, without credentials",
            )
        self.address = address

    def stamp(self, signature: bytes) -> bytes:
        """The authority's answer about a signature, in DER. It is not verified: verifiers know its root.

        Raises:
            ServiceError: no answer, a refusal, or an answer about something else.
        """
        from rfc3161_client import (
            HashAlgorithm,
            PKIStatus,
            TimestampRequestBuilder,
            decode_timestamp_response,
        )

        request = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256).build()
        data = self._ask(request.as_bytes())
        try:
            answer = decode_timestamp_response(data)
            status = PKIStatus(answer.status)
            info = answer.tst_info if status in (PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS) else None
        except ValueError as error:
            raise self._failed("sent an answer that is not a timestamp") from error
        if info is None:
            raise self._failed(f"refuses: {status.name.lower()}")
        if info.message_imprint.message != request.message_imprint.message or info.nonce != request.nonce:
            raise self._failed("sent a timestamp of something else")
        return data

    def _ask(self, query: bytes) -> bytes:
        import requests
        from urllib3.exceptions import HTTPError
        from urllib3.util import Retry

        from starfreight.registry.pace import PacedAdapter, limit_answer

        with requests.Session() as session:
            session.auth = _nobody
            # Without Retry-After: anybody between here and there could name a year.
            retries = Retry(
                total=3, backoff_factor=0.5, status_forcelist=_BUSY, allowed_methods=None, redirect=0,
                respect_retry_after_header=False,
            )  # fmt: skip
            for scheme in ("http://", "https://"):
                session.mount(scheme, PacedAdapter(max_retries=retries))
            try:
                with session.post(
                    self.address,
                    data=query,
                    headers={"Content-Type": "application/timestamp-query"},
                    timeout=_TIMEOUT,
                    stream=True,
                    allow_redirects=False,
                ) as answer:
                    if answer.status_code != 200:
                        raise self._failed(f"answers {answer.status_code}")
                    limit_answer(answer, _LIMIT)
                    data: bytes = answer.raw.read(_LIMIT + 1, decode_content=True)
            except (requests.RequestException, HTTPError, OSError) as error:
                raise self._failed("does not answer") from error
        if len(data) > _LIMIT:
            raise self._failed(f"sent more than {_LIMIT:,} bytes")
        return data

    def _failed(self, what: str) -> ServiceError:
        return ServiceError(
            f"The timestamp authority {what}.",
            where=self.address,
            fix="check the address and the network, then sign again",
        )


def _nobody(request: PreparedRequest) -> PreparedRequest:
    """No credentials: without this, requests would send those of ~/.netrc, also by plain HTTP."""
    return request
