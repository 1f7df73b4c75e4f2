"""Errors for refused and unanswered requests, each with a remedy."""

from __future__ import annotations

import json
import re
import ssl

import requests

from starfreight.console import printable
from starfreight.errors import ServiceError
from starfreight.registry.certificates import certificate_advice
from starfreight.registry.credentials import advice
from starfreight.registry.origins import origin_of
from starfreight.registry.proxies import proxy_for, proxy_name
from starfreight.registry.retries import asked_to_wait

_HIDDEN = re.compile(r"(?i)(basic|bearer)\s+[a-z0-9+/=._~-]+|[?&](token|_state|sig|signature)=[^&\s]+")

_INVALID = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.TooManyRedirects,
)

_WANTS_TLS = re.compile(rb"(?i)plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS server")
"""The answers of nginx and of Go's servers to plain HTTP on a port for HTTPS."""

_NO_SPACE = re.compile(rb'(?i)no space left on device|"Err":\s*28\b')
"""Signs of a full disk in a registry's answer; docker-registry 2 quotes Go's error with ENOSPC's number."""


def refusal(
    response: requests.Response,
    host: str,
    doing: str,
    secrets: tuple[str, ...] = (),
    *,
    destination: bool = False,
    has_credentials: bool = False,
) -> ServiceError:
    """Error for an unsuccessful answer.

    Args:
        response: the answer.
        host: the registry, as the user wrote it.
        doing: completes "while ...": ``uploading sha256:...``.
        secrets: strings to hide, should the answer contain them.
        destination: the command writes to this registry.
        has_credentials: user name and password for it are known.
    """
    status = response.status_code
    where = f"{host}, while {doing}"
    said = _message(response, secrets)
    detail = f": {said}" if said else ""
    if (storage := _redirected_to(response)) is not None:
        return ServiceError(
            f"{storage}, the target of a redirection by {host}, refused ({status}{detail}).",
            where=where,
            fix=f"no credentials are sent there: if it is the registry itself, name {storage} instead"
            if status == 401
            else "run the same command again: a signed address may have expired; if it stays so, ask the "
            "registry's administrator",
        )
    if status < 400:
        return ServiceError(
            f"The server's answer is not that of a registry ({status}).",
            where=where,
            fix="check host and port, and that no proxy or sign-in page answers in the registry's place",
        )
    if status in (401, 403):
        what = "requires valid credentials" if status == 401 else "denies access"
        return ServiceError(
            f"The registry {what} ({status}{detail}).",
            where=where,
            fix=advice(host, destination=destination, refused=has_credentials),
        )
    if status == 404:
        return ServiceError(
            f"The repository or path does not exist in the registry (404{detail}).",
            where=where,
            fix="check host, namespace and name; some registries require creating the repository first",
        )
    if status == 400 and _WANTS_TLS.search(response.content[:2000]):
        return ServiceError(
            f"The registry {host} expects HTTPS (400).", where=where, fix="run the command without --insecure"
        )
    if status == 507 or (status >= 500 and _NO_SPACE.search(response.content)):
        return ServiceError(
            f"The registry has no space left ({status}{detail}).",
            where=where,
            fix="free space on the registry, then run the same command again; finished uploads are kept",
        )
    if status == 405:
        return ServiceError(
            f"The registry does not allow this (405{detail}).",
            where=where,
            fix="check that the address is the registry itself (a gateway or a mirror serves pulls only) and "
            "that the registry is not read-only",
        )
    if status == 413:
        return ServiceError(
            f"The registry, or a proxy in front of it, refuses a file of this size (413{detail}).",
            where=where,
            fix="raise its limit (nginx: client_max_body_size 0)",
        )
    if status == 429 or status >= 500:
        wait = asked_to_wait(response.headers.get("Retry-After"))
        kept = "; finished uploads are kept" if destination else ""
        later = "later" if wait is None else f"in {wait}, as the registry requests"
        return ServiceError(
            f"The registry kept failing after retries ({status}{detail}).",
            where=where,
            fix=f"run the same command again {later}{kept}",
        )
    fix = "see the registry's log"
    if status in (409, 412) or "immutable" in said.lower():  # Harbor and ECR, with tags that cannot be moved.
        fix = "if its tags are immutable, choose a tag that does not exist; otherwise see the registry's log"
    return ServiceError(f"The registry refused ({status}{detail}).", where=where, fix=fix)


def unreachable(
    error: requests.RequestException, host: str, doing: str, *, insecure: bool = False
) -> ServiceError:
    """Error for an unanswered request.

    Args:
        error: the failure.
        host: the registry, as the user wrote it.
        doing: completes "while ...".
        insecure: the registry is used over plain http.
    """
    where = f"{host}, while {doing}"
    if isinstance(error, requests.exceptions.SSLError):
        if insecure:
            return _leads_to_tls(error, host, where)
        remedy = certificate_advice(host)
        if speaks_no_tls(error):
            return ServiceError(
                f"The TLS connection to the registry {host} failed: {_reason(error)}.",
                where=where,
                fix=f"for plain http, add --insecure; otherwise {remedy}",
            )
        return ServiceError(
            f"The TLS connection to the registry {host} is not trusted: {_reason(error)}.",
            where=where,
            fix=remedy,
        )
    origin = None if error.request is None else origin_of(error.request.url or "")
    if isinstance(error, _INVALID) or (origin is None and error.request is not None):
        return ServiceError(
            f"The registry {host} sent an invalid redirection or header.",
            where=where,
            fix="check that the address belongs to a registry",
        )
    asked = host if origin is None else origin.netloc[:100]
    whom = (
        f"The registry {host}" if asked in (host, "") else f"{asked}, the target of a redirection by {host},"
    )
    if isinstance(error, requests.exceptions.ProxyError) and origin is not None:
        whom += f" through the proxy {proxy_name(proxy_for(origin) or '')}"
    return ServiceError(
        f"{whom} cannot be reached: {_reason(error)}.",
        where=where,
        fix="check the address and the registry, then run the same command again",
    )


def _leads_to_tls(error: requests.RequestException, host: str, where: str) -> ServiceError:
    """Error of TLS although the command uses plain http: the registry named an https address."""
    origin = None if error.request is None else origin_of(error.request.url or "")
    named = host if origin is None else origin.netloc[:100]
    remedy = "have the registry name itself by http (docker-registry: http.host; a proxy: X-Forwarded-Proto)"
    if not speaks_no_tls(error):
        remedy = certificate_advice(named)
    return ServiceError(
        f"The registry {host} leads from plain http to https at {named}, where TLS failed: {_reason(error)}.",
        where=where,
        fix=remedy,
    )


def _redirected_to(response: requests.Response) -> str | None:
    """Host of another server that gave an answer in the registry's place; ``None`` for its own answer."""
    if not response.history:
        return None
    first, last = (origin_of(each.url) for each in (response.history[0], response))
    # From http to https, or the other way round, it is the registry still.
    if first is None or last is None or last == first:
        return None
    return None if last.host == first.host and last.scheme != first.scheme else last.netloc[:100]


def clean(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Foreign text as one short line, without control characters or credentials."""
    for secret in secrets:
        text = text.replace(secret, "(hidden)")
    return _HIDDEN.sub("(hidden)", " ".join(printable(text).split()))[:200]


def _message(response: requests.Response, secrets: tuple[str, ...]) -> str:
    """First error of an answer in the OCI distribution specification's format; empty if there is none."""
    try:
        first = json.loads(response.content)["errors"][0]
        said = f"{first.get('code', '')} {first.get('message', '')} {first.get('detail') or ''}"
        return clean(said, secrets)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""


def speaks_no_tls(error: BaseException | None) -> bool:
    """True if a request failed for lack of TLS on the other side, rather than for lack of trust."""
    return isinstance(error, requests.exceptions.SSLError) and not isinstance(
        _innermost(error), ssl.SSLCertVerificationError
    )


def _reason(error: requests.RequestException) -> str:
    """Innermost cause, the most specific one: ``Connection refused`` instead of a pool's history."""
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
