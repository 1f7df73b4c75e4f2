"""Several nodes: the Job's pods inside a JobSet, or inside Kubeflow Trainer's TrainJob."""

from __future__ import annotations

from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.manifests.job_spec import NODE_JOB, Order
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_REACH_PEERS
from starfreight.jobs.backends.kubernetes.manifests.templates import Object, load_template

_PORT = 29500
"""Where the first node waits for the others: torchrun's own choice."""
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"

_PATCHED = (
    "serviceAccountName",
    "terminationGracePeriodSeconds",
    "imagePullSecrets",
    "nodeSelector",
    "tolerations",
    "securityContext",
    "volumes",
)
"""What a TrainJob can say of its pods."""


def fill_nodes(job: Object, order: Order) -> Object:
    """The JobSet or the TrainJob that takes the place of a Job.

    Args:
        job: as one for a single node; its parts are used up.
        order: what is rendered.

    Raises:
        RecipeError: a TrainJob cannot hold what the recipe asks for.
    """
    job["spec"]["template"]["metadata"]["labels"][LABEL_REACH_PEERS] = "true"
    made = _train_job(job, order) if order.options.engine == "trainer" else _job_set(job, order)
    # The name, the namespace and the labels are the Job's, in the order in which they stand there.
    made["metadata"] = job["metadata"]
    return made


def _job_set(job: Object, order: Order) -> Object:
    made = load_template("jobset")
    nodes = order.options.nodes
    spec = job["spec"]
    pod = spec["template"]["spec"]
    made["spec"]["failurePolicy"]["maxRestarts"] = spec["backoffLimit"]
    # The JobSet deletes its Jobs; one that fails is not tried again by itself, but all of them together.
    made["spec"]["ttlSecondsAfterFinished"] = order.keep_finished
    spec.pop("ttlSecondsAfterFinished", None)
    spec["backoffLimit"] = 0
    first = f"{order.names.job}-{NODE_JOB}-0-0.{order.names.job}"
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


def _train_job(job: Object, order: Order) -> Object:
    made = load_template("trainjob")
    spec = job["spec"]
    template = spec["template"]
    pod = template["spec"]
    _refuse_what_has_no_place(pod)
    (step,) = pod["containers"]
    trainer = made["spec"]["trainer"]
    trainer |= {
        "image": step["image"],
        "args": step["args"],
        "env": step["env"],
        "numNodes": order.options.nodes,
        "numProcPerNode": max(1, order.resources.gpus),
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
        # The runtime calls the training container so.
        {"name": "node", "securityContext": step["securityContext"], "volumeMounts": step["volumeMounts"]}
    ]
    return made


def _refuse_what_has_no_place(pod: Object) -> None:
    if "initContainers" in pod:
        raise RecipeError(
            "A TrainJob has no step before training in which something could be fetched.",
            where="key run.kubernetes.engine",
            fix="put the base model and the data on the data claim, or leave engine out for a JobSet",
        )
    if "priorityClassName" in pod:
        raise RecipeError(
            "A TrainJob cannot say which PriorityClass its pods have.",
            where="key run.kubernetes.priority_class",
            fix="leave it out, or leave engine out, which makes a JobSet",
        )
