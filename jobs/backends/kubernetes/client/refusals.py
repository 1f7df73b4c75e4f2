"""Turns answers of the API server into errors with advice. Credentials are removed from messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starfreight.console import printable
from starfreight.errors import InputError, RecipeError, ServiceError, StarfreightError

_LONGEST = 2000
_VERBS = {"GET": "read", "POST": "create", "PATCH": "change", "DELETE": "delete"}
_CREDENTIAL = re.compile(
    r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}|\beyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9._-]*"
)


def clean(text: object, secrets: Iterable[str] = ()) -> str:
    """An external message without control characters and credentials, shortened."""
    shown = printable(str(text)[: 4 * _LONGEST])
    for secret in secrets:
        if secret:
            shown = shown.replace(secret, "***")
    shown = _CREDENTIAL.sub("***", shown)
    return " ".join(shown.split())[:_LONGEST]


@dataclass(frozen=True)
class Origin:
    """The server of an answer, the credentials sent to it, and the options of commands that reach it."""

    context: str
    server: str
    namespace: str
    secrets: tuple[str, ...]
    on: str


def refusal(status: int, answer: bytes, method: str, path: str, origin: Origin) -> StarfreightError:
    """The error for an answer that is not a success.

    Args:
        status: HTTP status.
        answer: the body; a ``Status`` object if the API server itself answered.
        method: of the request.
        path: of the request.
        origin: the server.
    """
    message = _message(answer, origin)
    where = f"context {origin.context}, {origin.server}{path}"
    action = f"{_VERBS.get(method, method)} {_resource(path)} in the namespace {origin.namespace}"
    if status == 401:
        return ServiceError(
            "The cluster rejects your credentials. They may have expired.",
            where=where,
            fix="log in to the cluster again, until kubectl auth whoami succeeds with this kubeconfig",
        )
    if status == 403:
        return _forbidden(message, action, where)
    if status == 404:
        if _kind(answer) == "namespaces" or re.search(r'namespaces "[^"]*" not found', message):
            return InputError(
                f"The namespace {origin.namespace} does not exist.",
                where=where,
                fix="name another one with --namespace, or ask an admin to apply kubernetes/base "
                "(written by: starfreight docs --to DIR)",
            )
        return InputError(
            f"The API server does not find it: {message or 'no such path'}.",
            where=where,
            fix=f"list the jobs: starfreight jobs list {origin.on}",
        )
    if status in (400, 409, 422):
        return RecipeError(
            f"The API server rejects the request as invalid: {message}",
            where=where,
            fix="change the key that it names, in run.kubernetes of the recipe or by an option",
        )
    return ServiceError(
        f"The API server failed with status {status}: {message or 'no message'}",
        where=where,
        fix="run the same command again later",
    )


def _forbidden(message: str, action: str, where: str) -> StarfreightError:
    if "exceeded quota" in message:
        return ServiceError(
            f"The namespace's quota is used up: {message}",
            where=where,
            fix="wait until other jobs have ended, request less, or ask an admin to raise the quota",
        )
    if "being terminated" in message:
        return ServiceError(
            f"The namespace is being deleted: {message}", where=where, fix="name another one with --namespace"
        )
    if re.search(r"cannot \w+ resource", message):
        return ServiceError(
            f"You may not {action}: {message}",
            where=where,
            fix="ask an admin to bind the Role starfreight-submitter to you; it is in kubernetes/base "
            "(written by: starfreight docs --to DIR)",
        )
    return ServiceError(
        f"The API server refuses to {action}: {message}",
        where=where,
        fix="ask an admin about this policy, or change the value that it names",
    )


def no_answer(error: Exception, origin: Origin) -> StarfreightError:
    """The error for a server that cannot be reached, or that closed the connection."""
    message = clean(_cause(error), origin.secrets)
    where = f"context {origin.context}, {origin.server}"
    if "CERTIFICATE_VERIFY_FAILED" in message or "certificate" in message.lower():
        timing = "not yet valid" in message or "expired" in message
        return ServiceError(
            f"The API server's certificate is not trusted: {message}",
            where=where,
            fix="check this machine's clock (date -u), or ask an admin to renew the certificate"
            if timing
            else "check certificate-authority in the kubeconfig",
        )
    return ServiceError(
        f"The API server does not answer: {message}",
        where=where,
        fix="check the network and the address in the kubeconfig, then run the same command again; "
        "the job is not affected",
    )


def no_kubeconfig(error: Exception) -> StarfreightError:
    """The error for a kubeconfig that is missing or invalid."""
    import os

    paths = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return InputError(
        f"The kubeconfig is missing or invalid: {clean(error)}",
        where=f"KUBECONFIG={paths}" if os.environ.get("KUBECONFIG") else paths,
        fix="set KUBECONFIG to the file from your cluster's admin; kubectl get pods must succeed with it",
    )


def _cause(error: Exception) -> object:
    """The innermost reason, without the address, the pool and the number of retries around it."""
    reason: Any = getattr(error, "reason", None)
    if isinstance(reason, Exception):
        return _cause(reason)
    if isinstance(reason, str):
        return reason
    text = str(error)
    return text.partition("object at 0x")[2].partition(">: ")[2] or text.rpartition("): ")[2] or text


def _message(answer: bytes, origin: Origin) -> str:
    status = _status(answer)
    text = status.get("message") if status else answer.decode("utf-8", "replace")
    return clean(text or "", origin.secrets)


def _kind(answer: bytes) -> str:
    details = _status(answer).get("details")
    return str(details.get("kind", "")) if isinstance(details, dict) else ""


def _status(answer: bytes) -> dict[str, Any]:
    try:
        value = json.loads(answer[: 1 << 20])
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _resource(path: str) -> str:
    """The resource in a path: ``jobs`` in ``/apis/batch/v1/namespaces/NAME/jobs/NAME``, or ``pods/log``."""
    parts = path.partition("/namespaces/")[2].split("/")[1:]
    if not parts:
        return path
    return f"{parts[0]}/{parts[2]}" if len(parts) > 2 else parts[0]
