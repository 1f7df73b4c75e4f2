"""Fills in the template of the Job: names, retries, deadlines, scheduling, volumes and steps."""

from __future__ import annotations

import math
from typing import Any

from starfreight.jobs.backends.kubernetes.manifests.job_spec import JobSpec
from starfreight.jobs.backends.kubernetes.manifests.names import (
    ANNOTATION_LEAST,
    ANNOTATION_RESULTS,
    LABEL_COMPONENT,
    LABEL_QUEUE,
    LABEL_REACH_REGISTRY,
    LABEL_RUN,
    LABEL_VARIANT,
)
from starfreight.jobs.backends.kubernetes.manifests.patch import apply_patch
from starfreight.jobs.backends.kubernetes.manifests.steps import fill_steps
from starfreight.jobs.backends.kubernetes.manifests.templates import Object, load_template
from starfreight.jobs.backends.kubernetes.manifests.volumes import fill_volumes

_START_MARGIN = 15 * 60
"""Seconds added to the time limit for pulling the image, preparing the data and starting a node."""
_PACKAGE_MARGIN = 60 * 60
"""Seconds added for packaging and publishing."""
_LONGEST = 7 * 24 * 3600
"""Time limit in seconds if the recipe has none: a job that hangs must not hold its GPUs for ever."""


def fill_job(plan: JobSpec, config_map: str) -> Object:
    """The Job of a specification.

    Args:
        plan: the job to render.
        config_map: name of the ConfigMap with the recipe.
    """
    job = load_template("job")
    fill_metadata(job, plan)
    if plan.options.queue is not None:
        job["metadata"]["labels"][LABEL_QUEUE] = plan.options.queue
    _fill_retries(job, plan)
    if plan.options.queue is not None and job["spec"].get("parallelism", 1) > 1:
        # Kueue then admits as many variants at a time as the quota allows, not all or none.
        job["metadata"]["annotations"][ANNOTATION_LEAST] = "1"
    _fill_deadlines(job, plan)
    template = job["spec"]["template"]
    template["metadata"]["labels"] |= _labels(plan)
    if plan.needs_network:
        template["metadata"]["labels"][LABEL_REACH_REGISTRY] = "true"
    template["metadata"]["annotations"] = dict(plan.names.annotations)
    pod = template["spec"]
    _fill_scheduling(pod, plan)
    fill_volumes(pod, plan, config_map)
    fill_steps(pod, plan)
    _name_containers(job)
    if plan.patch is not None:
        apply_patch(job, plan.patch, ("fetch", *plan.kind.pod_steps))
    return job


def fill_metadata(target: Object, plan: JobSpec) -> None:
    """Fills in the names, labels and annotations of an object."""
    metadata = target["metadata"]
    metadata["name"] = plan.names.job if plan.variant is None else f"{plan.names.job}-{plan.variant}"
    if plan.options.namespace is not None:
        target["metadata"] = metadata = {
            "name": metadata["name"], "namespace": plan.options.namespace, **metadata,
        }  # fmt: skip
    metadata["labels"] = metadata["labels"] | _labels(plan)
    metadata["annotations"] = dict(plan.names.annotations)
    if plan.options.results is not None:
        metadata["annotations"][ANNOTATION_RESULTS] = plan.options.results


def _labels(plan: JobSpec) -> dict[str, str]:
    labels = {LABEL_COMPONENT: plan.kind.activity, **plan.names.labels}
    if plan.variant is not None:
        labels[LABEL_VARIANT] = str(plan.variant)
    return labels


def _fill_retries(job: Object, plan: JobSpec) -> None:
    retries = plan.options.retries
    spec: dict[str, Any] = job["spec"]
    spec["backoffLimit"] = retries
    if not plan.indexed:
        return
    # Without maxFailedIndexes, so that failed variants never stop the others.
    del spec["backoffLimit"]
    job["spec"] = {
        "completions": plan.variants,
        "parallelism": min(plan.options.parallelism or plan.variants, plan.variants),
        "completionMode": "Indexed",
        "backoffLimitPerIndex": retries,
        **spec,
    }
    for rule in spec["podFailurePolicy"]["rules"]:
        if rule["action"] == "FailJob":
            rule["action"] = "FailIndex"


def _name_containers(job: Object) -> None:
    """Repeats each rule about exit codes for every container of the job, by name.

    A rule without a name also judges containers that a service mesh or a secrets agent adds to the pod: a job
    that fails with 1 while such a container ends with 143 would be retried for ever.
    """
    pod = job["spec"]["template"]["spec"]
    steps = [step["name"] for step in (*pod.get("initContainers", []), *pod["containers"])]
    policy = job["spec"]["podFailurePolicy"]
    rules: list[Object] = []
    for rule in policy["rules"]:
        codes = rule.get("onExitCodes")
        if codes is None:
            rules.append(rule)
        else:
            rules += [rule | {"onExitCodes": {**codes, "containerName": step}} for step in steps]
    policy["rules"] = rules


def _fill_deadlines(job: Object, plan: JobSpec) -> None:
    spec = job["spec"]
    spec["ttlSecondsAfterFinished"] = plan.keep_finished
    grace = plan.grace
    spec["template"]["spec"]["terminationGracePeriodSeconds"] = grace
    limit = plan.recipe.run.time_limit or _LONGEST
    margin = _START_MARGIN + grace + (_PACKAGE_MARGIN if plan.last_step in ("package", "publish") else 0)
    # The deadline includes the time for which variants wait for others. Without run.kubernetes.parallelism
    # the nodes limit how many run at a time, in the worst case to one.
    rounds = math.ceil(plan.variants / (plan.options.parallelism or 1)) if plan.indexed else 1
    spec["activeDeadlineSeconds"] = rounds * (limit + margin)


def _fill_scheduling(pod: Object, plan: JobSpec) -> None:
    """Fills in the service account, the image secrets and the choice of nodes."""
    options = plan.options
    pod["serviceAccountName"] = options.service_account
    more: Object = {}
    if options.priority_class is not None:
        more["priorityClassName"] = options.priority_class
    if options.image_pull_secrets:
        more["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    if options.node_selector:
        more["nodeSelector"] = dict(sorted(options.node_selector.items()))
    tolerations = [each.model_dump(exclude_none=True) for each in options.tolerations]
    if plan.resources.gpus:
        # Nodes with fractions of GPUs, e.g. nvidia.com/mig-1g.10gb, may have the taint of whole GPUs.
        whole = options.gpu_resource.partition("/")[0] + "/gpu"
        for key in dict.fromkeys((options.gpu_resource, whole)):
            taint = {"key": key, "operator": "Exists", "effect": "NoSchedule"}
            if taint not in tolerations:
                tolerations.append(taint)
    if tolerations:
        more["tolerations"] = tolerations
    if plan.variants > 1:
        spread = {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {LABEL_RUN: plan.names.job}},
        }
        more["topologySpreadConstraints"] = [spread]
    # In the usual order of keys: before the security context.
    rest = {key: pod.pop(key) for key in ("securityContext", "initContainers", "containers", "volumes")}
    pod |= more | rest
