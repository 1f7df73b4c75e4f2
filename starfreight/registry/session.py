"""HTTP transport to a registry: credentials stay at their origins; size limits, timeouts, retries.

Retries are urllib3's ``Retry``, mounted on the session given to oras, token requests included. Uploads are an
exception: a registry keeps the received part of a broken upload, so the caller has to restart it.
The same holds for broken downloads.
"""

from __future__ import annotations

import logging
import re
import ssl
import zlib
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlencode, urljoin

import requests
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from starfreight.errors import ServiceError
from starfreight.registry.blob_body import BlobBody
from starfreight.registry.origins import Origin, is_loopback, origin_of, prepared_origin
from starfreight.registry.pace import MAX_ANSWER_BYTES as MAX_ANSWER_BYTES
from starfreight.registry.pace import PacedAdapter, limit_answer
from starfreight.registry.proxies import proxy_for, proxy_name
from starfreight.registry.retries import MAX_WAIT as MAX_WAIT
from starfreight.registry.retries import PatientRetry

CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
UPLOAD_TIMEOUT = 900.0
"""Seconds to wait for the answer to an upload: the registry hashes all of it first."""

RETRY_STATUSES = (429, 500, 502, 503, 504)
BACKOFF_FACTOR = 0.5
"""Seconds; waits are 0, 1, 2 and 4 times two of it, unless set by ``Retry-After``."""

_SINGLE = "starfreight_single_attempt"
_BY_DIGEST = re.compile(r"/(blobs|manifests)/sha256:[0-9a-f]{64}$")


def retry_policy() -> Retry:
    """Retry policy: two retries without an answer, four after a temporary failure."""
    return PatientRetry(
        total=4,
        connect=2,
        other=0,  # Untrusted TLS will not be trusted a second later.
        allowed_methods=None,
        status_forcelist=RETRY_STATUSES,
        backoff_factor=BACKOFF_FACTOR,
        backoff_max=MAX_WAIT,
        retry_after_max=MAX_WAIT,
        raise_on_status=False,
        raise_on_redirect=False,
    )


class RegistrySession(requests.Session):
    """Session that sends credentials to trusted origins only, directly or over TLS, and logs no requests.

    Attributes:
        trusted: origins that may receive an ``Authorization`` header: the registry and its token service.
    """

    def __init__(self, home: Origin, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.trusted = {home}
        adapter = RegistryAdapter(self.trusted, tls)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self.max_redirects = 5
        self.headers["Accept-Encoding"] = "identity"
        # Otherwise an entry in ~/.netrc would override oras's credentials.
        self.auth = lambda request: request
        for noisy in ("oras.logger", "urllib3.connectionpool"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Drop the credentials on a redirection to another origin.

        requests keeps them from http to https, and adds those of ~/.netrc, where ``default`` fits any host.
        """
        if prepared_origin(prepared_request) != origin_of(response.url):
            prepared_request.headers.pop("Authorization", None)

    def get_redirect_target(self, response: requests.Response) -> str | None:
        """The target of a redirection.

        Raises:
            ServiceError: it leads from https to plain http, where others could change the answer. What is
                checked against a digest may come from there.
        """
        target: str | None = super().get_redirect_target(response)
        if (
            target is not None
            and response.url.startswith("https:")
            and urljoin(response.url, target).lower().startswith("http:")
            and _BY_DIGEST.search(response.url) is None
        ):
            raise ServiceError(
                "The registry redirects to plain http, where others could change its answer.",
                where=response.url.partition("?")[0],
                fix="have the proxy in front of the registry set X-Forwarded-Proto",
            )
        return target

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Settings as given: proxies and certificates of the environment are chosen elsewhere."""
        return {"proxies": {}, "stream": stream, "verify": verify, "cert": cert}

    def rebuild_proxies(self, prepared_request: requests.PreparedRequest, proxies: Any) -> dict[str, str]:
        """No proxies: the transport chooses them."""
        return {}


class RegistryAdapter(PacedAdapter):
    """Transport with timeouts, retries and limits on answers. Every request passes here, redirected or not.

    Args:
        trusted: origins that may receive an ``Authorization`` header.
        tls: certificates of this registry.
    """

    def __init__(self, trusted: set[Origin], tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls, max_retries=retry_policy())
        self._trusted = trusted
        self._once = PacedAdapter(tls, max_retries=Retry(0, read=False))

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send one request.

        Raises:
            ServiceError: a proxy would see the credentials, or the answer is too large or too slow.
            InputError: the proxy in the environment is invalid.
        """
        proxies = _guard_credentials(request, self._trusted)
        upload = isinstance(request.body, BlobBody)
        send = self._once.send if upload or getattr(request, _SINGLE, False) else super().send
        response = send(
            request,
            stream=True,
            timeout=timeout or (CONNECT_TIMEOUT, UPLOAD_TIMEOUT if upload else READ_TIMEOUT),
            verify=verify,
            cert=cert,
            proxies=proxies,
        )
        # Refusals and redirections are short, even in answer to a request for a blob.
        if not stream or response.status_code not in (200, 206):
            _read_bounded(response)
        return response


class SecretForm(bytes):
    """Body of a request that contains a password or an identity token."""

    @classmethod
    def of(cls, form: Mapping[str, str]) -> Self:
        """Encode the fields of a form."""
        return cls(urlencode(form).encode())


def single_attempt(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Mark a request as not to be repeated; given to requests as its ``auth``."""
    setattr(request, _SINGLE, True)
    return request


def _guard_credentials(request: requests.PreparedRequest, trusted: set[Origin]) -> dict[str, str]:
    """Proxies to use for a request; its credentials are removed if they are not meant for its origin."""
    origin = prepared_origin(request)
    in_body = isinstance(request.body, SecretForm)
    if origin not in trusted:
        request.headers.pop("Authorization", None)
        if in_body:
            raise ServiceError(
                f"The registry's token service redirects to {origin.netloc}, which gets no password.",
                where=origin.netloc,
                fix="have the registry name the right token service",
            )
    # As in Go, and so in Docker: another machine's loopback is not the one that is meant.
    if is_loopback(origin):
        return {}
    proxy = proxy_for(origin)
    if proxy is None:
        return {}
    if origin.scheme == "http" and (in_body or "Authorization" in request.headers):
        raise ServiceError(
            f"The proxy {proxy_name(proxy)} would read the credentials: {origin.netloc} is used over plain "
            "http.",
            where="environment, http_proxy or all_proxy",
            fix=f"set NO_PROXY={origin.host} to connect directly, or use the registry over https",
        )
    return {origin.scheme: proxy}


def _read_bounded(response: requests.Response) -> None:
    """Read a whole answer into ``response.content``."""
    limit_answer(response, MAX_ANSWER_BYTES)
    try:
        data = response.raw.read(MAX_ANSWER_BYTES + 1, decode_content=False)
        received = len(data)
        if response.headers.get("Content-Encoding", "").lower() == "gzip":
            # Not by urllib3, which takes minutes over megabytes of empty gzip members.
            data = zlib.decompressobj(zlib.MAX_WBITS + 16).decompress(data, MAX_ANSWER_BYTES + 1)
    except (HTTPError, OSError, zlib.error) as error:
        response.close()
        raise requests.ConnectionError(error, request=response.request) from error
    if max(received, len(data)) > MAX_ANSWER_BYTES:
        response.close()
        raise ServiceError(
            f"The registry's answer is larger than {MAX_ANSWER_BYTES:,} bytes.",
            where=response.url.partition("?")[0],
            fix="check that the address belongs to a registry",
        )
    response._content = data
    response.close()
