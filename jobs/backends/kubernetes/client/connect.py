"""Opens the cluster of a kubeconfig.

    cluster = connect(console, context=None, namespace="research")
    job = cluster.find(cluster.jobs("acme-0a1b2c3d4e"))

The official client is imported on first use.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.refusals import no_kubeconfig
from starfreight.jobs.backends.kubernetes.client.retries import NotifyingRetry

PATIENCE = 10.0
"""Seconds to wait for a server that does not answer."""
LONG_PATIENCE = 600.0
"""The same for commands that follow a job."""

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def connect(
    console: Console, *, context: str | None = None, namespace: str | None = None, patience: float = PATIENCE
) -> Cluster:
    """Reads the kubeconfig. No request is sent yet.

    Without a kubeconfig, a pod uses its own ServiceAccount.

    Args:
        console: shows that the server does not answer.
        context: context of the kubeconfig; the current one by default.
        namespace: namespace of the jobs; the context's by default.
        patience: seconds to wait for a server that does not answer.

    Raises:
        InputError: the kubeconfig is missing or invalid, or the client is not installed.
    """
    client, config = _libraries()
    settings = client.Configuration()
    on = "--on kubernetes"
    try:
        contexts, current = config.list_kube_config_contexts()
    except config.ConfigException as error:
        if context is None and _SERVICE_ACCOUNT.exists():
            config.load_incluster_config(client_configuration=settings)
            found = {"name": "this pod's own", "namespace": _SERVICE_ACCOUNT.read_text().strip()}
        else:
            raise no_kubeconfig(error) from None
    except Exception as error:  # The client does not catch errors of YAML and of files.
        raise no_kubeconfig(error) from None
    else:
        names = [str(one["name"]) for one in contexts]
        wanted = context or (current or {}).get("name")
        if wanted not in names:
            raise InputError(
                f"The kubeconfig has no context {wanted!r}."
                if wanted
                else "The kubeconfig has no current context.",
                where="option --context" if context else "current-context",
                fix=f"choose one of: {', '.join(names) or 'it has none'}",
            )
        if context and context != (current or {}).get("name"):
            on += f" --context {shlex.quote(context)}"
        found = {"name": wanted, **next(one for one in contexts if one["name"] == wanted)["context"]}
        try:
            config.load_kube_config(context=wanted, client_configuration=settings)
        except Exception as error:
            raise no_kubeconfig(error) from None
    settings.keep_alive = True
    settings.retries = NotifyingRetry.for_seconds(patience, console)
    usual = found.get("namespace") or "default"
    if namespace and namespace != usual:
        on += f" --namespace {shlex.quote(namespace)}"
    return Cluster(client.ApiClient(settings), namespace or usual, found["name"], console, on)


def _libraries() -> tuple[Any, Any]:
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise InputError(
            "Jobs in a cluster need the Kubernetes client, which is not installed here.",
            where=str(error.name),
            fix="pip install 'starfreight[kubernetes]'",
        ) from None
    return client, config
