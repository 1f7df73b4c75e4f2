"""What the API server says, as errors that tell the user what to do. No credential gets into a message."""

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
    """A message of somebody else's, without control characters, credentials and endless tails."""
    shown = printable(str(text)[: 4 * _LONGEST])
    for secret in secrets:
        if secret:
            shown = shown.replace(secret, "***")
    shown = _CREDENTIAL.sub("***", shown)
    return " ".join(shown.split())[:_LONGEST]


@dataclass(frozen=True)
class Origin:
    """Whose answers they are, and which credentials were sent to get them."""

    context: str
    server: str
    namespace: str
    secrets: tuple[str, ...]


def refusal(status: int, answer: bytes, method: str, path: str, origin: Origin) -> StarfreightError:
    """The error that an answer other than a good one stands for.

    Args:
        status: HTTP's.
        answer: the body, a ``Status`` of the API where the API server itself answered.
        method: what was asked.
        path: of what.
        origin: by whom.
    """
    said = _message(answer, origin)
    where = f"context {origin.context}, {origin.server}{path}"
    doing = f"{_VERBS.get(method, method)} {_resource(path)} in the namespace {origin.namespace}"
    if status == 401:
        return ServiceError(
            "The cluster does not accept your credentials; they may have expired.",
            where=where,
            fix="log in to the cluster again; `kubectl auth whoami` must work with the same kubeconfig",
        )
    if status == 403:
        return _forbidden(said, doing, where)
    if status == 404:
        if _kind(answer) == "namespaces" or re.search(r'namespaces "[^"]*" not found', said):
            return InputError(
                f"There is no namespace {origin.namespace}.",
                where=where,
                fix="name another one with --namespace, or have an admin apply kubernetes/base",
            )
        return InputError(
            f"It is not there: {said or 'the server knows no such path'}.",
            where=where,
            fix="see `starfreight jobs list --on kubernetes`",
        )
    if status in (400, 409, 422):
        return RecipeError(
            f"The API server does not take it: {said}",
            where=where,
            fix="change what it names in the recipe's run.kubernetes, or in the options",
        )
    return ServiceError(
        f"The API server failed with status {status}: {said or 'no message'}",
        where=where,
        fix="run the same command again in a while",
    )


def _forbidden(said: str, doing: str, where: str) -> StarfreightError:
    if "exceeded quota" in said:
        return ServiceError(
            f"The namespace's quota is used up: {said}",
            where=where,
            fix="wait until other jobs have ended, ask for less, or ask an admin for more",
        )
    if "being terminated" in said:
        return ServiceError(
            f"The namespace is being deleted: {said}", where=where, fix="name another one with --namespace"
        )
    if re.search(r"cannot \w+ resource", said):
        return ServiceError(
            f"You may not {doing}: {said}",
            where=where,
            fix="ask an admin to bind the Role starfreight-submitter (kubernetes/base) to you",
        )
    return ServiceError(
        f"The API server refuses to {doing}: {said}",
        where=where,
        fix="ask an admin about that policy, or change what it names",
    )


def no_answer(error: Exception, origin: Origin) -> StarfreightError:
    """The error of a server that could not be reached, or that broke off."""
    said = clean(_cause(error), origin.secrets)
    where = f"context {origin.context}, {origin.server}"
    if "CERTIFICATE_VERIFY_FAILED" in said or "certificate" in said.lower():
        timing = "not yet valid" in said or "expired" in said
        return ServiceError(
            f"The API server's certificate is not accepted: {said}",
            where=where,
            fix="check this machine's clock (date -u), then ask for a new certificate"
            if timing
            else "check certificate-authority in the kubeconfig",
        )
    return ServiceError(
        f"The API server does not answer: {said}",
        where=where,
        fix="check the network and the address in the kubeconfig, then run the same command again; "
        "the job is not affected",
    )


def no_kubeconfig(error: Exception) -> StarfreightError:
    """The error of a kubeconfig that is not there or cannot be used."""
    import os

    paths = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return InputError(
        f"There is no kubeconfig that can be used: {clean(error)}",
        where=f"KUBECONFIG={paths}" if os.environ.get("KUBECONFIG") else paths,
        fix="set KUBECONFIG to the file that your cluster's admin gave you, and try it: kubectl get pods",
    )


def _cause(error: Exception) -> object:
    """The innermost reason, without the address, the pool and the number of tries around it."""
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
    """``jobs`` of ``/apis/batch/v1/namespaces/NAME/jobs/NAME``; ``pods/log`` of a pod's log."""
    parts = path.partition("/namespaces/")[2].split("/")[1:]
    if not parts:
        return path
    return f"{parts[0]}/{parts[2]}" if len(parts) > 2 else parts[0]
