"""The Job: the template with its names, deadlines, place in the cluster, volumes and steps filled in."""

from __future__ import annotations

import math
from typing import Any

from starfreight.jobs.backends.kubernetes.manifests.job_spec import Order
from starfreight.jobs.backends.kubernetes.manifests.names import (
    ANNOTATION_LEAST,
    LABEL_QUEUE,
    LABEL_REACH_REGISTRY,
    LABEL_RUN,
    LABEL_VARIANT,
)
from starfreight.jobs.backends.kubernetes.manifests.steps import fill_steps
from starfreight.jobs.backends.kubernetes.manifests.templates import Object, load_template
from starfreight.jobs.backends.kubernetes.manifests.volumes import fill_volumes

_ROOM = 15 * 60
"""Seconds that a pod has beside its time limit: for the image, the data and a node that is not ready yet."""
_ROOM_TO_PACKAGE = 60 * 60


def fill_job(order: Order, config_map: str) -> Object:
    """The Job of an order.

    Args:
        order: what is rendered.
        config_map: the name of the ConfigMap with the recipe.
    """
    job = load_template("job")
    fill_metadata(job, order)
    if order.options.queue is not None:
        job["metadata"]["labels"][LABEL_QUEUE] = order.options.queue
    _fill_retries(job, order)
    if order.options.queue is not None and job["spec"].get("parallelism", 1) > 1:
        # As many variants at a time as there is quota for, instead of all of them or none.
        job["metadata"]["annotations"][ANNOTATION_LEAST] = "1"
    _fill_deadlines(job, order)
    template = job["spec"]["template"]
    template["metadata"]["labels"] |= _labels(order)
    if order.needs_network:
        template["metadata"]["labels"][LABEL_REACH_REGISTRY] = "true"
    template["metadata"]["annotations"] = dict(order.names.annotations)
    pod = template["spec"]
    _fill_place(pod, order)
    fill_volumes(pod, order, config_map)
    fill_steps(pod, order)
    return job


def fill_metadata(target: Object, order: Order) -> None:
    """The names, labels and annotations of an object of this job."""
    metadata = target["metadata"]
    metadata["name"] = order.names.job if order.variant is None else f"{order.names.job}-{order.variant}"
    if order.options.namespace is not None:
        target["metadata"] = metadata = {
            "name": metadata["name"], "namespace": order.options.namespace, **metadata,
        }  # fmt: skip
    metadata["labels"] = metadata["labels"] | _labels(order)
    metadata["annotations"] = dict(order.names.annotations)


def _labels(order: Order) -> dict[str, str]:
    own = dict(order.names.labels)
    if order.variant is not None:
        own[LABEL_VARIANT] = str(order.variant)
    return own


def _fill_retries(job: Object, order: Order) -> None:
    retries = order.options.retries
    spec: dict[str, Any] = job["spec"]
    spec["backoffLimit"] = retries
    if not order.indexed:
        return
    # maxFailedIndexes stays away: however many variants fail, the others go on.
    del spec["backoffLimit"]
    job["spec"] = {
        "completions": order.variants,
        "parallelism": min(order.options.parallelism or order.variants, order.variants),
        "completionMode": "Indexed",
        "backoffLimitPerIndex": retries,
        **spec,
    }
    for rule in spec["podFailurePolicy"]["rules"]:
        if rule["action"] == "FailJob":
            rule["action"] = "FailIndex"


def _fill_deadlines(job: Object, order: Order) -> None:
    spec = job["spec"]
    spec["ttlSecondsAfterFinished"] = order.keep_finished
    grace = order.resources.checkpoint_grace
    spec["template"]["spec"]["terminationGracePeriodSeconds"] = grace
    limit = order.recipe.run.time_limit
    if limit is None:
        return
    room = _ROOM + grace + (_ROOM_TO_PACKAGE if order.options.until != "train" else 0)
    # Variants that have to wait for others get their time, too. Where nobody says how many run at a time, it
    # depends on the nodes, and they may have to go one after another.
    rounds = math.ceil(order.variants / (order.options.parallelism or 1)) if order.indexed else 1
    template = spec.pop("template")
    spec["activeDeadlineSeconds"] = rounds * (limit + room)
    spec["template"] = template


def _fill_place(pod: Object, order: Order) -> None:
    """Which nodes the pods may run on, and as whom."""
    options = order.options
    pod["serviceAccountName"] = options.service_account
    more: Object = {}
    if options.priority_class is not None:
        more["priorityClassName"] = options.priority_class
    if options.image_pull_secrets:
        more["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    if options.node_selector:
        more["nodeSelector"] = dict(sorted(options.node_selector.items()))
    tolerations = [each.model_dump(exclude_none=True) for each in options.tolerations]
    if order.resources.gpus:
        # Whatever a part of a GPU is called, the taint is that of the whole.
        whole = options.gpu_resource.partition("/")[0] + "/gpu"
        for key in dict.fromkeys((options.gpu_resource, whole)):
            taint = {"key": key, "operator": "Exists", "effect": "NoSchedule"}
            if taint not in tolerations:
                tolerations.append(taint)
    if tolerations:
        more["tolerations"] = tolerations
    if order.variants > 1:
        spread = {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {LABEL_RUN: order.names.job}},
        }
        more["topologySpreadConstraints"] = [spread]
    # Before the security context, as people write it: who and where come first.
    rest = {key: pod.pop(key) for key in ("securityContext", "initContainers", "containers", "volumes")}
    pod |= more | rest
