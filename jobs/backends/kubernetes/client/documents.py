"""Documents to send to the server: their namespace, a dry run of them, and those of jobs to submit again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import paused
from starfreight.jobs.backends.kubernetes.client.labels import PAUSED
from starfreight.jobs.backends.kubernetes.client.targets import ObjectKind, own_patches, pod_templates
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_OF_THE_SERVER = (
    "batch.kubernetes.io/",
    "controller-uid",
    "job-name",
    "kubectl.kubernetes.io/",
)
"""Prefixes of labels and annotations added by the server or a controller."""
_KUEUE = "kueue.x-k8s.io/"
"""Prefix of the recipe's labels on the job itself. In pods, such labels are added by Kueue."""


def in_namespace(cluster: Cluster, document: Object) -> Object:
    """A document with the namespace of the cluster."""
    return {**document, "metadata": {**document["metadata"], "namespace": cluster.namespace}}


def dry_run(cluster: Cluster, kind: ObjectKind, document: Object, config_maps: Sequence[Object] = ()) -> None:
    """Lets the server validate all documents before any of them is created.

    Raises:
        RecipeError: the server rejects one as invalid.
        ServiceError: the server refuses, or does not answer.
    """
    for one in config_maps:
        cluster.create(cluster.core("configmaps"), in_namespace(cluster, one), dry_run=True)
    cluster.create(kind.path(cluster), in_namespace(cluster, document), dry_run=True)


def as_submitted(job: Object) -> Object:
    """The document of a job in the cluster, without changes by the server, its controllers and a cancel."""
    copy: dict[str, Any] = json.loads(json.dumps(job))
    before = paused(copy) or {}
    metadata, spec = copy["metadata"], copy["spec"]
    copy["metadata"] = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": _without_server_keys(metadata.get("labels")),
        "annotations": _without_server_keys(metadata.get("annotations")),
    }
    copy.pop("status", None)
    spec |= {key: before[key] for key in ("parallelism", "backoffLimit") if key in before}
    for key in ("selector", "manualSelector", "suspend"):
        spec.pop(key, None)
    if "runtimePatches" in spec:
        spec["runtimePatches"] = own_patches(copy)
    for template in pod_templates(copy):
        found = template.get("metadata") or {}
        template["metadata"] = {
            key: {
                name: value
                for name, value in _without_server_keys(found.get(key)).items()
                if not name.startswith(_KUEUE)
            }
            for key in ("labels", "annotations")
        }
    return copy


def config_map_names(job: Object) -> list[str]:
    """Names of the ConfigMaps that the pods of a job mount."""
    volumes = [one for template in pod_templates(job) for one in template["spec"].get("volumes") or ()]
    return sorted({str(one["configMap"]["name"]) for one in volumes if "configMap" in one})


def _without_server_keys(labels: dict[str, str] | None) -> dict[str, str]:
    return {
        key: value
        for key, value in (labels or {}).items()
        if not key.startswith(_OF_THE_SERVER)
        and key not in (PAUSED, "kubectl.kubernetes.io/last-applied-configuration")
    }
