"""From a registry's refusal, or its silence, to an error that says what to do about it."""

from __future__ import annotations

import json
import re
import ssl
from urllib.parse import urlsplit

import requests

from starfreight.console import printable
from starfreight.errors import ServiceError
from starfreight.registry.credentials import PASSWORD, USERNAME

_HIDDEN = re.compile(r"(?i)(basic|bearer)\s+[a-z0-9+/=._~-]+|[?&](token|_state|sig|signature)=[^&\s]+")

_NO_SPACE = re.compile(rb'(?i)no space left on device|"Err":\s*28\b')
"""How a registry tells of a full disk; docker-registry 2 in Go's words, with the number of ENOSPC."""


def refusal(
    response: requests.Response, host: str, doing: str, secrets: tuple[str, ...] = ()
) -> ServiceError:
    """The error for an answer that is no success.

    Args:
        response: the answer.
        host: the registry, as the user wrote it.
        doing: what was asked for, after "while": ``uploading sha256:...``.
        secrets: what must not be shown, should the answer hold it.
    """
    status = response.status_code
    where = f"{host}, while {doing}"
    said = _message(response, secrets)
    detail = f": {said}" if said else ""
    if status in (401, 403):
        what = "asks for credentials that fit" if status == 401 else "does not allow it"
        return ServiceError(
            f"The registry {what} ({status}{detail}).",
            where=where,
            fix=f"set {USERNAME} and {PASSWORD}, or run docker login {host}, with an account that may do it",
        )
    if status == 404:
        return ServiceError(
            f"The registry does not know the repository or path (404{detail}).",
            where=where,
            fix="check host, namespace and name; some registries want the repository to be made first",
        )
    if status == 507 or (status >= 500 and _NO_SPACE.search(response.content)):
        return ServiceError(
            f"The registry has no room left ({status}{detail}).",
            where=where,
            fix="free space on the registry, then run the same command again; what arrived is not sent twice",
        )
    if status == 413:
        return ServiceError(
            f"The registry, or a proxy in front of it, takes nothing this large (413{detail}).",
            where=where,
            fix="raise its limit (nginx: client_max_body_size 0)",
        )
    if status == 429 or status >= 500:
        return ServiceError(
            f"The registry kept failing ({status}{detail}), also when asked again.",
            where=where,
            fix="run the same command again later; what was sent whole is not sent twice",
        )
    return ServiceError(
        f"The registry refused ({status}{detail}).", where=where, fix="see the registry's own log for more"
    )


def unreachable(error: requests.RequestException, host: str, doing: str) -> ServiceError:
    """The error for a request that got no answer."""
    where = f"{host}, while {doing}"
    if isinstance(error, requests.exceptions.SSLError):
        return ServiceError(
            f"No trusted TLS connection to the registry {host}: {_reason(error)}.",
            where=where,
            fix="name your own CA in SSL_CERT_FILE or REQUESTS_CA_BUNDLE; to publish to a registry of plain "
            "http add --insecure",
        )
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return ServiceError(
            f"The registry {host} sent an answer that cannot be followed.",
            where=where,
            fix="check that the address is a registry's",
        )
    asked = urlsplit(error.request.url or "").netloc if error.request is not None else host
    whom = f"The registry {host}" if asked in (host, "") else f"{asked}, where the registry {host} leads to,"
    return ServiceError(
        f"{whom} cannot be reached: {_reason(error)}.",
        where=where,
        fix="check the address and that the registry runs, then run the same command again",
    )


def clean(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Somebody else's text as one short line without control characters and without credentials."""
    for secret in secrets:
        text = text.replace(secret, "(hidden)")
    return _HIDDEN.sub("(hidden)", " ".join(printable(text).split()))[:200]


def _message(response: requests.Response, secrets: tuple[str, ...]) -> str:
    """The first error in an answer of the OCI distribution specification's shape."""
    try:
        first = json.loads(response.content)["errors"][0]
        said = f"{first.get('code', '')} {first.get('message', '')} {first.get('detail') or ''}"
        return clean(said, secrets)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""


def speaks_no_tls(error: BaseException | None) -> bool:
    """Whether a request failed because what answers speaks no TLS, and not because it is not trusted."""
    return isinstance(error, requests.exceptions.SSLError) and not isinstance(
        _innermost(error), ssl.SSLCertVerificationError
    )


def _reason(error: requests.RequestException) -> str:
    """The innermost cause, which says most: ``Connection refused`` instead of a pool's history."""
    cause = _innermost(error)
    text = getattr(cause, "strerror", None) or getattr(cause, "verify_message", None) or str(cause)
    return clean(str(text)) or type(cause).__name__


def _innermost(error: BaseException) -> BaseException:
    cause: BaseException = error
    seen: set[int] = set()
    while id(cause) not in seen:
        seen.add(id(cause))
        inner = [
            each for each in (getattr(cause, "reason", None), *cause.args) if isinstance(each, BaseException)
        ]
        following = inner[0] if inner else cause.__cause__ or cause.__context__
        if following is None:
            break
        cause = following
    return cause
