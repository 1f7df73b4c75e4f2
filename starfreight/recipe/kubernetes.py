"""The recipe's ``run.kubernetes``: settings of the cluster, and the names of its objects."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starfreight.errors import InputError
from starfreight.recipe.units import Duration, Memory
from starfreight.recipe.values import Line, RecipePart
from starfreight.results.address import parse_place

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""The name of a namespace, also as a label's value (RFC 1123)."""

DnsName = Annotated[
    str, Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")
]
"""The name of most Kubernetes objects (RFC 1123, with dots)."""

_PREFIX = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?"
LabelKey = Annotated[str, Field(pattern=rf"^{_PREFIX}[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?$")]
"""The key of a label or a taint: at most 63 characters, optionally after a DNS name and a slash."""

LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")]

ResourceName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"),
]
"""An extended resource: ``nvidia.com/gpu``, ``nvidia.com/mig-3g.40gb``, ``amd.com/gpu``."""


class Toleration(RecipePart):
    """A taint that the job's pods tolerate."""

    key: LabelKey | None = None
    """The taint's key; all taints by default."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """`Equal` also compares `value`."""
    value: LabelValue | None = None
    """The taint's value, with `operator: Equal`."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; all effects by default."""

    @model_validator(mode="after")
    def _a_value_to_compare(self) -> Toleration:
        if (self.operator == "Equal") != (self.value is not None):
            raise ValueError("needs both operator Equal and a value, or neither")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("has a value but no key")
        return self


class KubernetesOptions(RecipePart):
    """Settings of the cluster, and the names of its objects. Used with `where: kubernetes`."""

    namespace: DnsLabel | None = None
    """The namespace of the job; the kubeconfig's by default."""
    queue: DnsName | None = None
    """The Kueue LocalQueue for the job; none by default."""
    service_account: DnsName = "starfreight-job"
    """The ServiceAccount of the job's pods. Its token is not mounted."""
    until: Literal["train", "package", "publish"] = "train"
    """The last step of the job: training alone, or also packaging and publishing in the same pod. Finished
    steps are not repeated, so a failed publication never repeats the training."""
    nodes: Annotated[int, Field(ge=1, le=256)] = 1
    """Number of pods that train one run together, each on `run.gpus` GPUs. More than one makes a JobSet or a
    TrainJob."""
    engine: Literal["jobset", "trainer"] = "jobset"
    """The object for a run on several nodes: a JobSet, or Kubeflow Trainer's TrainJob."""
    gpu_resource: ResourceName = "nvidia.com/gpu"
    """The cluster's resource name for a GPU or a part of one."""
    node_selector: dict[LabelKey, LabelValue] = Field(default={})
    """Required labels of the node, such as `{nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}`."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints that the job tolerates. A job with GPUs always tolerates the taint of `gpu_resource`."""
    priority_class: DnsName | None = None
    """The PriorityClass of the pods, also used by Kueue."""
    image_pull_secrets: tuple[DnsName, ...] = ()
    """Secrets for pulling the trainer image."""
    runs_claim: DnsName | None = "starfreight-runs"
    """The PersistentVolumeClaim for runs, checkpoints and packages. With `results`, a temporary volume of the
    node by default."""
    results: Line | None = None
    """Destination of the run, with its checkpoint, and of the package: `oci://HOST/NAMESPACE/NAME`,
    `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`. New pods resume from there, and
    `jobs fetch` reads there. `oci+http://` is a registry over plain http."""
    results_at: Literal["checkpoint", "end"] = "checkpoint"
    """When to send the run to `results`: after each checkpoint, or only when the job ends or is stopped."""
    results_secret: DnsName | None = None
    """The Secret with the credentials for `results`: `kubernetes.io/dockerconfigjson` for a registry
    (`push_secret` by default), else environment variables such as `AWS_ACCESS_KEY_ID`."""
    data_claim: DnsName | None = None
    """The PersistentVolumeClaim with data and base models, mounted read-only. The recipe's relative paths
    start at its root. Required if the recipe names a file or a directory."""
    data_path: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$")] | None = None
    """The directory on `data_claim` where the recipe's relative paths start; its root by default."""
    oci_data: Literal["init_container", "image_volume"] = "init_container"
    """How `oci://` sources get into the pod: fetched by an init container, which works everywhere, or mounted
    by the kubelet as an image volume (Kubernetes 1.36; fetched on older servers). CRI-O mounts any artifact;
    containerd mounts images only, and no artifacts of `oras push`."""
    pull_secret: DnsName | None = None
    """The Secret (`kubernetes.io/dockerconfigjson`) for fetching `oci://` sources in the init container."""
    push_secret: DnsName | None = None
    """The Secret (`kubernetes.io/dockerconfigjson`) for publishing the package. Only the publishing step sees
    it."""
    parallelism: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How many variants of a sweep train at the same time; all by default."""
    retries: Annotated[int, Field(ge=0, le=3)] = 2
    """How often to retry a pod that failed by a fault of its own or of a service. Failures due to the recipe
    or a gate are never retried; pods stopped by the cluster always are."""
    cpus: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPUs of a pod. Defaults to `run.threads`, else four per GPU, or one without a GPU."""
    shared_memory: Memory | None = None
    """The size of `/dev/shm`, part of the pod's memory; computed by the plan by default."""
    ephemeral_storage: Memory | None = None
    """Disk of the node that a pod may use; computed by the plan by default."""
    checkpoint_grace: Annotated[Duration, Field(le=3600)] | None = None
    """How long a stopped pod has to write its checkpoint. Defaults to 2 to 5 minutes, depending on the
    adapter's size."""
    keep_finished: Duration | None = None
    """How long a finished Job stays in the cluster; a day by default. The run itself is kept."""
    patch: Line | None = None
    """A YAML file beside the recipe with a part of a Job, merged into the rendered one: labels, affinity,
    `runtimeClassName`, DRA claims, variables from Secrets."""

    @model_validator(mode="after")
    def _no_volume_with_results(self) -> KubernetesOptions:
        if self.results is not None and "runs_claim" not in self.model_fields_set:
            # Not by a validator that runs before: pydantic would then refuse the lists of JSON for tuples.
            self.__dict__["runs_claim"] = None
            self.model_fields_set.add("runs_claim")
        return self

    @model_validator(mode="after")
    def _what_belongs_together(self) -> KubernetesOptions:
        if self.runs_claim is None and self.results is None:
            raise ValueError("has neither a runs_claim nor results: the run would be lost")
        if self.results_secret is not None and self.results is None:
            raise ValueError("has a results_secret but no results")
        if self.results is not None:
            try:
                parse_place(self.results)
            except InputError as error:
                raise ValueError(f"has invalid results: {error.what} {error.fix}") from None
        if self.data_path is not None and self.data_claim is None:
            raise ValueError("has a data_path but no data_claim")
        if self.data_path is not None and ".." in self.data_path.split("/"):
            raise ValueError("has a data_path that leaves its volume")
        return self
