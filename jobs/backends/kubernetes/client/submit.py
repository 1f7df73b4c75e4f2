"""Sends a rendered job to the cluster: asked first, then made, once for one recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import paused, view
from starfreight.jobs.backends.kubernetes.client.labels import PAUSED
from starfreight.jobs.backends.kubernetes.client.pause import unpause, wait_for_pods
from starfreight.jobs.backends.kubernetes.client.targets import (
    JOB,
    Kind,
    Target,
    check_namespace,
    kind_of,
    own_patches,
    pod_templates,
)
from starfreight.jobs.backends.kubernetes.client.watch import wait_for_change
from starfreight.jobs.backends.kubernetes.manifests.names import ANNOTATION_RECIPE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_OF_THE_SERVER = (
    "batch.kubernetes.io/",
    "controller-uid",
    "job-name",
    "kubectl.kubernetes.io/",
)
"""What the server or a controller adds to labels and annotations."""
_KUEUE = "kueue.x-k8s.io/"
"""Only the job itself has such labels and annotations from the recipe; in pods they are Kueue's own."""
_GONE = 120


@dataclass(frozen=True)
class Submitted:
    """A job that is in the cluster now."""

    target: Target
    how: Literal["created", "running", "resumed", "again", "done"]


def submit(cluster: Cluster, documents: tuple[Object, ...], console: Console) -> tuple[Submitted, ...]:
    """Makes the jobs of a rendered recipe, or finds them made.

    A job of the same name is of the same recipe. One that runs is left alone, a cancelled one goes on, one
    that failed is made again, and one that is done stays done.

    Args:
        cluster: the cluster.
        documents: the ConfigMap and the Job, as rendered; several Jobs where the server needs that.
        console: says which of these it was.

    Raises:
        RecipeError: the server takes a document for wrong; nothing was made.
        InputError: there is no such namespace.
        ServiceError: the server refuses, or does not answer.
    """
    config_maps = [one for one in documents if one.get("kind") == "ConfigMap"]
    submitted = []
    for document in documents:
        kind = kind_of(document)
        if kind is not None:
            target = Target(kind, str(document["metadata"]["name"]))
            submitted.append(_submit(cluster, target, document, config_maps, console))
    return tuple(submitted)


def _submit(
    cluster: Cluster, target: Target, document: Object, config_maps: list[Object], console: Console
) -> Submitted:
    _need_kind(cluster, target.kind)
    there = cluster.find(target.path(cluster))
    if there is not None:
        found = _go_on(cluster, target, there, document, config_maps, console)
        if found is not None:
            return found
    _ask_first(cluster, target.kind, document, config_maps)
    # The Job first, since it owns the ConfigMap: its pod waits for that, and nobody has to clean up after it.
    made = cluster.create(_of_kind(cluster, target.kind), _here(cluster, document))
    if made is None:
        # By somebody else, or by this command when the answer was lost: then its ConfigMap is missing.
        own(cluster, target.kind, cluster.get(target.path(cluster)), config_maps)
        console.note(f"{target.name} is there since just now; it is followed.")
        return Submitted(target, "running")
    try:
        own(cluster, target.kind, made, config_maps)
    except StarfreightError:
        cluster.delete(target.path(cluster), propagationPolicy="Background")
        raise
    console.note(f"Submitted {target.name} to the namespace {cluster.namespace}.")
    return Submitted(target, "created")


def _go_on(
    cluster: Cluster,
    target: Target,
    there: Object,
    document: Object,
    config_maps: list[Object],
    console: Console,
) -> Submitted | None:
    """What becomes of a job that is there already; ``None`` when it is gone and can be made."""
    now = view(there)
    told = now.recipe_digest
    asked = (document["metadata"].get("annotations") or {}).get(ANNOTATION_RECIPE)
    kept = "; it keeps the options that it was submitted with" if told and asked and told != asked else ""
    if now.status == "done":
        console.note(f"{target.name} is trained already{kept}.")
        return Submitted(target, "done")
    if now.status == "failed":
        console.note(f"{target.name} failed before ({now.what}); it is submitted again, and goes on.")
        replace(cluster, target, there, _here(cluster, document), config_maps)
        return Submitted(target, "again")
    if now.status == "deleting":
        console.note(f"{target.name} is being deleted; waiting for that.")
        _wait_until_gone(cluster, target, there)
        return None
    own(cluster, target.kind, there, config_maps)
    if paused(there) is not None:
        unpause(cluster, target, there)
        console.note(f"{target.name} was cancelled before; it goes on{kept}.")
        return Submitted(target, "resumed")
    console.note(f"{target.name} is submitted already, and is not submitted twice; it is followed{kept}.")
    return Submitted(target, "running")


def resume(cluster: Cluster, target: Target, job: Object, console: Console) -> Submitted:
    """Lets a cancelled job go on, or makes one again that failed: from its last checkpoint.

    Raises:
        InputError: one variant alone was named.
        ServiceError: the server refuses, or does not answer.
    """
    if target.variant is not None:
        raise InputError(
            "One variant of a sweep cannot be resumed alone.",
            where=target.link,
            fix=f"resume all of it: starfreight jobs resume {target.name} --on kubernetes",
        )
    now = view(job)
    if now.status == "failed":
        again = _as_new(job)
        config_maps = [{"metadata": {"name": name}} for name in _config_maps(again)]
        replace(cluster, target, job, again, config_maps)
        console.note(f"{target.name} is submitted again.")
        return Submitted(target, "again")
    if now.status in ("stopped", "stopping"):
        unpause(cluster, target, job)
        console.note(f"{target.name} goes on.")
        return Submitted(target, "resumed")
    return Submitted(target, "done" if now.status == "done" else "running")


def own(cluster: Cluster, kind: Kind, job: Object, config_maps: list[Object]) -> None:
    """Makes a job's ConfigMaps, or takes them over, so that they go when it goes."""
    owner = {
        "apiVersion": kind.group.removeprefix("apis/"),
        "kind": kind.name,
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
    }
    for one in config_maps:
        if "data" in one:
            owned = _here(cluster, one)
            owned["metadata"] = {**owned["metadata"], "ownerReferences": [owner]}
            if cluster.create(cluster.core("configmaps"), owned) is not None:
                continue
        path = cluster.core("configmaps", one["metadata"]["name"])
        there = cluster.find(path)
        owners = (there or {}).get("metadata", {}).get("ownerReferences") or []
        if all(known.get("uid") != owner["uid"] for known in owners):
            # Jobs of one sweep share it; those that are gone are not kept.
            alive = [known for known in owners if known.get("name") != owner["name"]]
            cluster.patch(path, {"metadata": {"ownerReferences": [*alive, owner]}})


def replace(
    cluster: Cluster, target: Target, old: Object, document: Object, config_maps: list[Object]
) -> None:
    """Takes a job that has ended out of the cluster and makes it again; its ConfigMap stays in between.

    Raises:
        ServiceError: the old one does not go, or the server refuses.
    """
    _ask_first(cluster, target.kind, _renamed(document), [])
    for one in config_maps:  # It may be the only copy, and must not go with the old Job.
        path = cluster.core("configmaps", one["metadata"]["name"])
        cluster.patch(path, {"metadata": {"ownerReferences": None}})
    cluster.delete(
        target.path(cluster), propagationPolicy="Foreground", preconditions={"uid": old["metadata"]["uid"]}
    )
    _wait_until_gone(cluster, target, old)
    made = cluster.create(_of_kind(cluster, target.kind), document)
    if made is None:
        made = cluster.get(target.path(cluster))
    own(cluster, target.kind, made, config_maps)


def _renamed(document: Object) -> Object:
    """For a question to the server while the name is still taken."""
    metadata = document["metadata"]
    return {**document, "metadata": {**metadata, "name": metadata["name"][:50].rstrip("-") + "-again"}}


def _wait_until_gone(cluster: Cluster, target: Target, old: Object) -> None:
    wait_for_pods(cluster, target, _GONE)
    for _ in range(_GONE):
        there = cluster.find(target.path(cluster))
        if there is None or there["metadata"]["uid"] != old["metadata"]["uid"]:
            return
        wait_for_change(cluster, cluster.path(target.kind.group, target.kind.plural), 1,
                        fieldSelector=f"metadata.name={target.name}")  # fmt: skip
    raise ServiceError(
        f"The job {target.name} is still being deleted.",
        where=f"namespace {cluster.namespace}",
        fix="see what holds it: its finalizers and pods; then run the same command again",
    )


def _ask_first(cluster: Cluster, kind: Kind, document: Object, config_maps: list[Object]) -> None:
    """Lets the server look at all of it before any of it is made."""
    for one in config_maps:
        cluster.create(cluster.core("configmaps"), _here(cluster, one), dry_run=True)
    cluster.create(_of_kind(cluster, kind), _here(cluster, document), dry_run=True)


def _need_kind(cluster: Cluster, kind: Kind) -> None:
    if kind is not JOB and cluster.find(f"/{kind.group}") is None:
        raise ServiceError(
            f"The cluster knows no {kind.name}s.",
            where=f"{cluster.server}/{kind.group}",
            fix="ask an admin to install it (kubernetes/README.md), or set run.kubernetes.nodes to 1",
        )
    check_namespace(cluster)


def _of_kind(cluster: Cluster, kind: Kind) -> str:
    return cluster.path(kind.group, kind.plural)


def _here(cluster: Cluster, document: Object) -> Object:
    """A document with the namespace that it goes to."""
    return {**document, "metadata": {**document["metadata"], "namespace": cluster.namespace}}


def _as_new(job: Object) -> Object:
    """A job as it was before the server and its controllers wrote into it."""
    copy: dict[str, Any] = json.loads(json.dumps(job))
    before = paused(copy) or {}
    metadata, spec = copy["metadata"], copy["spec"]
    copy["metadata"] = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": _ours(metadata.get("labels")),
        "annotations": _ours(metadata.get("annotations")),
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
            key: {name: value for name, value in _ours(found.get(key)).items() if not name.startswith(_KUEUE)}
            for key in ("labels", "annotations")
        }
    return copy


def _ours(labels: dict[str, str] | None) -> dict[str, str]:
    return {
        key: value
        for key, value in (labels or {}).items()
        if not key.startswith(_OF_THE_SERVER)
        and key not in (PAUSED, "kubectl.kubernetes.io/last-applied-configuration")
    }


def _config_maps(job: Object) -> list[str]:
    volumes = [one for template in pod_templates(job) for one in template["spec"].get("volumes") or ()]
    return sorted({str(one["configMap"]["name"]) for one in volumes if "configMap" in one})
