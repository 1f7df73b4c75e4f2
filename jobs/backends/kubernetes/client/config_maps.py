"""ConfigMaps of a job: the job owns them, so that the cluster deletes them with it."""

from __future__ import annotations

from collections.abc import Sequence

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.documents import in_namespace
from starfreight.jobs.backends.kubernetes.client.targets import ObjectKind
from starfreight.jobs.backends.kubernetes.manifests.templates import Object


def adopt_config_maps(cluster: Cluster, kind: ObjectKind, job: Object, config_maps: Sequence[Object]) -> None:
    """Creates a job's ConfigMaps if they are missing, and makes the job their owner.

    Args:
        cluster: the cluster.
        kind: of the job.
        job: the job in the cluster.
        config_maps: documents; without ``data``, an existing ConfigMap of that name is adopted.

    Raises:
        ServiceError: the server refuses, or does not answer.
    """
    owner = {
        "apiVersion": kind.group.removeprefix("apis/"),
        "kind": kind.name,
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
    }
    for one in config_maps:
        if "data" in one:
            owned = in_namespace(cluster, one)
            owned["metadata"] = {**owned["metadata"], "ownerReferences": [owner]}
            if cluster.create(cluster.core("configmaps"), owned) is not None:
                continue
        path = cluster.core("configmaps", one["metadata"]["name"])
        found = cluster.find(path)
        owners = (found or {}).get("metadata", {}).get("ownerReferences") or []
        if all(known.get("uid") != owner["uid"] for known in owners):
            # The Jobs of a sweep share it. An earlier Job of the same name is no longer an owner.
            others = [known for known in owners if known.get("name") != owner["name"]]
            cluster.patch(path, {"metadata": {"ownerReferences": [*others, owner]}})


def release_config_maps(cluster: Cluster, config_maps: Sequence[Object]) -> None:
    """Removes all owners of ConfigMaps, so that they outlive the job."""
    for one in config_maps:
        path = cluster.core("configmaps", one["metadata"]["name"])
        cluster.patch(path, {"metadata": {"ownerReferences": None}})
