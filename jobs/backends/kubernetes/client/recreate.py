"""Replaces a job by a new one that does the same work, and deletes jobs. Runs on the volume are kept."""

from __future__ import annotations

from collections.abc import Sequence

from starfreight.errors import ServiceError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.config_maps import adopt_config_maps, release_config_maps
from starfreight.jobs.backends.kubernetes.client.documents import dry_run
from starfreight.jobs.backends.kubernetes.client.pause import wait_for_pods
from starfreight.jobs.backends.kubernetes.client.sick_nodes import away_from_sick_nodes
from starfreight.jobs.backends.kubernetes.client.targets import Target, grace_of
from starfreight.jobs.backends.kubernetes.client.watch import wait_for_change
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_PATIENCE = 120
"""Seconds to wait for the deletion of the old job."""


def recreate(
    cluster: Cluster,
    target: Target,
    old_target: Target,
    old: Object,
    document: Object,
    config_maps: Sequence[Object],
) -> None:
    """Deletes a job and creates it again. Its ConfigMaps are kept.

    The pods of a running job write a checkpoint first. The server validates the new job before the old one is
    deleted.

    Args:
        cluster: the cluster.
        target: the new job.
        old_target: the job in the cluster; its kind or its name may differ.
        old: its object.
        document: the new one.
        config_maps: of the job; see :func:`adopt_config_maps`.

    Raises:
        ServiceError: the old job is not deleted in time, or the server refuses.
    """
    document = away_from_sick_nodes(cluster, old_target, old, document)
    dry_run(cluster, target.kind, _renamed(document), [one for one in config_maps if "data" in one])
    release_config_maps(cluster, config_maps)  # They may be the only copies.
    delete(cluster, old_target, old)
    made = cluster.create(target.kind.path(cluster), document)
    if made is None:
        made = cluster.get(target.path(cluster))
    adopt_config_maps(cluster, target.kind, made, config_maps)


def delete(cluster: Cluster, target: Target, old: Object) -> None:
    """Deletes a job with its pods, which write a checkpoint first, and waits until it is gone.

    Raises:
        ServiceError: it is not deleted in time, or the server refuses.
    """
    cluster.delete(
        target.path(cluster), propagationPolicy="Foreground", preconditions={"uid": old["metadata"]["uid"]}
    )
    wait_until_deleted(cluster, target, old)


def wait_until_deleted(cluster: Cluster, target: Target, old: Object) -> None:
    """Waits until a job that is being deleted is gone.

    Raises:
        ServiceError: it is not deleted in time.
    """
    wait_for_pods(cluster, target, _PATIENCE + grace_of(old))
    for _ in range(_PATIENCE):
        found = cluster.find(target.path(cluster))
        if found is None or found["metadata"]["uid"] != old["metadata"]["uid"]:
            return
        selector = f"metadata.name={target.name}"
        wait_for_change(cluster, target.kind.path(cluster), 1, fieldSelector=selector)
    raise ServiceError(
        f"The job {target.name} is still being deleted.",
        where=f"namespace {cluster.namespace}",
        fix=f"check its finalizers and pods (kubectl describe {target.kind.plural} {target.name}), "
        "then run the same command again",
    )


def _renamed(document: Object) -> Object:
    """The document under another name, for a dry run while its own name is taken."""
    metadata = document["metadata"]
    return {**document, "metadata": {**metadata, "name": metadata["name"][:50].rstrip("-") + "-again"}}
