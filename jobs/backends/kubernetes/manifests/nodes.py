"""Jobs on several nodes: the pods of a Job inside a JobSet or a TrainJob of Kubeflow Trainer."""

from __future__ import annotations

from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.manifests.job_spec import NODE_JOB, JobSpec
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_REACH_PEERS
from starfreight.jobs.backends.kubernetes.manifests.patch import patched_fields
from starfreight.jobs.backends.kubernetes.manifests.templates import Object, load_template

_PORT = 29500
"""Port of the first node for the others; torchrun's default."""
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"

_PATCHED = (
    "serviceAccountName",
    "terminationGracePeriodSeconds",
    "imagePullSecrets",
    "nodeSelector",
    "affinity",
    "tolerations",
    "schedulingGates",
    "securityContext",
    "volumes",
)
"""Fields of pods that a TrainJob can patch."""


def fill_nodes(job: Object, plan: JobSpec) -> Object:
    """The JobSet or the TrainJob for a Job.

    Args:
        job: the Job for a single node; its parts are reused.
        plan: the job to render.

    Raises:
        RecipeError: the recipe uses a key that a TrainJob does not support.
    """
    job["spec"]["template"]["metadata"]["labels"][LABEL_REACH_PEERS] = "true"
    made = _train_job(job, plan) if plan.options.engine == "trainer" else _job_set(job, plan)
    # Name, namespace and labels are those of the Job, in the same order.
    made["metadata"] = job["metadata"]
    return made


def _job_set(job: Object, plan: JobSpec) -> Object:
    made = load_template("jobset")
    nodes = plan.options.nodes
    spec = job["spec"]
    pod = spec["template"]["spec"]
    made["spec"]["failurePolicy"]["maxRestarts"] = spec["backoffLimit"]
    # The JobSet deletes its Jobs. A failed Job is not retried alone: all of them are restarted together.
    made["spec"]["ttlSecondsAfterFinished"] = plan.keep_finished
    spec.pop("ttlSecondsAfterFinished", None)
    spec["backoffLimit"] = 0
    first = f"{plan.names.job}-{NODE_JOB}-0-0.{plan.names.job}"
    for step in (*pod.get("initContainers", []), *pod["containers"]):
        step["env"] += [
            {"name": "PET_NNODES", "value": str(nodes)},
            {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": _INDEX}}},
            {"name": "PET_MASTER_ADDR", "value": first},
            {"name": "PET_MASTER_PORT", "value": str(_PORT)},
        ]
    (replicated,) = made["spec"]["replicatedJobs"]
    replicated["template"]["spec"] = {
        "completions": nodes,
        "parallelism": nodes,
        "completionMode": "Indexed",
        **spec,
    }
    return made


def _train_job(job: Object, plan: JobSpec) -> Object:
    made = load_template("trainjob")
    spec = job["spec"]
    template = spec["template"]
    pod = template["spec"]
    _check_supported(pod, patched_fields(plan.patch))
    (step,) = pod["containers"]
    trainer = made["spec"]["trainer"]
    trainer |= {
        "image": step["image"],
        "args": step["args"],
        "env": step["env"],
        "numNodes": plan.options.nodes,
        "numProcPerNode": max(1, plan.resources.gpus),
        "resourcesPerNode": step["resources"],
    }
    if "activeDeadlineSeconds" in spec:
        made["spec"]["activeDeadlineSeconds"] = spec["activeDeadlineSeconds"]
    (patch,) = made["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    patched = replicated["template"]["spec"]["template"]
    patched["metadata"] = template["metadata"]
    patched["spec"] = {key: pod[key] for key in _PATCHED if key in pod}
    patched["spec"]["containers"] = [
        # The runtime's name of the training container.
        {"name": "node", "securityContext": step["securityContext"], "volumeMounts": step["volumeMounts"]}
    ]
    return made


def _check_supported(pod: Object, patched: frozenset[str]) -> None:
    lost = sorted(patched - {*_PATCHED, "containers"})
    if lost:
        raise RecipeError(
            f"A TrainJob cannot set {lost[0]} of its pods.",
            where="key run.kubernetes.patch",
            fix="set it in the cluster's TrainingRuntime, or remove engine to use a JobSet",
        )
    if any("envFrom" in step for step in pod["containers"]):
        raise RecipeError(
            "A TrainJob cannot set envFrom of its pods.",
            where="key run.kubernetes.patch",
            fix="list the variables under env, or remove engine to use a JobSet",
        )
    if "initContainers" in pod:
        raise RecipeError(
            "A TrainJob cannot fetch inputs before training.",
            where="key run.kubernetes.engine",
            fix="copy the base model and the data to the data claim, or remove engine to use a JobSet",
        )
    if "priorityClassName" in pod:
        raise RecipeError(
            "A TrainJob cannot set the PriorityClass of its pods.",
            where="key run.kubernetes.priority_class",
            fix="remove it, or remove engine to use a JobSet",
        )
