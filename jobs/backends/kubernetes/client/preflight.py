"""Looks at the objects of a cluster that a job refers to, before it is submitted.

Otherwise a job that names a missing volume waits for ever, and a JobSet with a negative priority never gets
its pods. Objects that the user may not read are not checked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from starfreight.errors import RecipeError, ServiceError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.recipe.kubernetes import KubernetesOptions

_CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses/"
_ONE_NODE = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})


def warnings_before(cluster: Cluster, options: KubernetesOptions, pods: int) -> Iterator[str]:
    """Yield what will keep the pods of a job from running together.

    Args:
        cluster: the cluster.
        options: of the recipe.
        pods: number of pods at the same time.

    Raises:
        RecipeError: the priority class does not exist, or its value is negative and JobSet cannot use it.
    """
    _check_priority(cluster, options)
    for key, name in (("runs_claim", options.runs_claim), ("data_claim", options.data_claim)):
        if name is None:
            continue
        claim = _read(cluster, cluster.core("persistentvolumeclaims", name))
        if claim == {}:
            yield (
                f"The namespace {cluster.namespace} has no PersistentVolumeClaim {name!r} "
                f"(run.kubernetes.{key}): the job waits until there is one. "
                "See: starfreight docs kubernetes-admin"
            )
        elif claim and pods > 1 and set(claim["spec"].get("accessModes", ())) <= _ONE_NODE:
            yield (
                f"The volume {name!r} can be mounted by one node at a time ({key}, ReadWriteOnce): pods on "
                "other nodes wait until it is free. Several nodes need ReadWriteMany."
            )


def _check_priority(cluster: Cluster, options: KubernetesOptions) -> None:
    name = options.priority_class
    found = None if name is None else _read(cluster, _CLASSES + name)
    if found is None:
        return
    if not found:
        raise RecipeError(
            f"The cluster has no PriorityClass {name!r}.",
            where="key run.kubernetes.priority_class",
            fix="correct the name: kubectl get priorityclasses",
        )
    if options.nodes > 1 and int(found.get("value", 0)) < 0:
        raise RecipeError(
            f"The PriorityClass {name!r} has the negative value {found['value']}, which JobSet cannot use: "
            "it becomes a label, and the API server refuses the pods.",
            where="key run.kubernetes.priority_class",
            fix="use a class with a value from 0 on, as in kubernetes/base/priority-classes.yaml "
            "(written by: starfreight docs --to DIR)",
        )


def _read(cluster: Cluster, path: str) -> Object | None:
    """The object; an empty one if it does not exist, and ``None`` if the user may not read it."""
    with contextlib.suppress(ServiceError):
        return cluster.find(path) or {}
    return None
