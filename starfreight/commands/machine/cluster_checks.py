"""The current context of kubeconfig: its answer, and the rights that jobs need."""

from __future__ import annotations

from starfreight.commands.machine.finding import Finding
from starfreight.console import Console
from starfreight.errors import InputError, StarfreightError

_RIGHTS = (
    ("create", "batch", "jobs", ""),
    ("create", "", "configmaps", ""),
    ("get", "", "pods", "log"),
    ("create", "", "pods", "exec"),
)
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def check_cluster() -> Finding:
    """Ask the API server for its version, and for each right."""
    from starfreight.jobs.backends.kubernetes.client.connect import connect

    quiet = Console(quiet=True)
    try:
        cluster = connect(quiet, patience=3)
    except InputError as error:
        return Finding("missing", error.what.rstrip("."), error.fix)
    try:
        text = f"context {cluster.context}, namespace {cluster.namespace}, Kubernetes {cluster.version()}"
        lacking = []
        for verb, group, resource, part in _RIGHTS:
            attributes = {"namespace": cluster.namespace, "verb": verb, "group": group, "resource": resource}
            spec = {"resourceAttributes": {**attributes, "subresource": part}}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": spec,
            }
            answer = cluster.create(_REVIEWS, review) or {}
            if not (answer.get("status") or {}).get("allowed"):
                lacking.append(f"{verb} {resource}{'/' * bool(part)}{part}")
    except StarfreightError as error:
        return Finding("warning", error.what.rstrip("."), error.fix)
    if lacking:
        return Finding(
            "warning",
            f"{text}; missing rights: {', '.join(lacking)}",
            "have an admin apply kubernetes/base (written by: starfreight docs --to DIR), and bind you to "
            "its role starfreight-submitter",
        )
    return Finding("ok", text)
