"""The recipe's ``run.kubernetes``: what a cluster has to know of a job, and what it calls things."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starfreight.recipe.units import Duration, Memory
from starfreight.recipe.values import RecipePart

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""What Kubernetes takes for the name of a namespace or a label's value that is one (RFC 1123)."""

DnsName = Annotated[
    str, Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")
]
"""What Kubernetes takes for the names of most objects (RFC 1123, with dots)."""

_PREFIX = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?"
LabelKey = Annotated[str, Field(pattern=rf"^{_PREFIX}[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?$")]
"""A label's or a taint's key: a name of 63 characters at most, after a DNS name and a slash or without."""

LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")]

ResourceName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"),
]
"""An extended resource: ``nvidia.com/gpu``, ``nvidia.com/mig-3g.40gb``, ``amd.com/gpu``."""


class Toleration(RecipePart):
    """A taint of nodes that the job's pods do not mind."""

    key: LabelKey | None = None
    """The taint's key; every taint when not given."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """`Equal` compares `value`, too."""
    value: LabelValue | None = None
    """The taint's value, with `operator: Equal`."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; all of them when not given."""

    @model_validator(mode="after")
    def _a_value_to_compare(self) -> Toleration:
        if (self.operator == "Equal") != (self.value is not None):
            raise ValueError("needs operator Equal and a value together, or neither")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("has a value and no key")
        return self


class KubernetesOptions(RecipePart):
    """What a cluster has to know of a job, and what it calls things. Used with `where: kubernetes`."""

    namespace: DnsLabel | None = None
    """Where the job is created; the kubeconfig's namespace when not given."""
    queue: DnsName | None = None
    """The Kueue LocalQueue that the job waits in; no queue when not given."""
    service_account: DnsName = "starfreight-job"
    """The ServiceAccount of the job's pods. They get no token of it."""
    until: Literal["train", "package", "publish"] = "train"
    """The last step of the job: training alone, or packaging and publishing after it in the same pod. A step
    that is done is not done again, so that a failure to publish never repeats the training."""
    nodes: Annotated[int, Field(ge=1, le=256)] = 1
    """How many pods train one run together, each on `run.gpus` GPUs; more than one make a JobSet or a
    TrainJob."""
    engine: Literal["jobset", "trainer"] = "jobset"
    """What holds the pods of several nodes together: a JobSet, or Kubeflow Trainer's TrainJob."""
    gpu_resource: ResourceName = "nvidia.com/gpu"
    """What the cluster calls a GPU, or a part of one."""
    node_selector: dict[LabelKey, LabelValue] = Field(default={})
    """Labels that a node must have, such as `{nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}`."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints of nodes that the job does not mind. That of `gpu_resource` is tolerated whenever it asks for
    GPUs."""
    priority_class: DnsName | None = None
    """The PriorityClass of the pods, which Kueue goes by, too."""
    image_pull_secrets: tuple[DnsName, ...] = ()
    """Secrets that the trainer image is pulled with."""
    runs_claim: DnsName = "starfreight-runs"
    """The PersistentVolumeClaim that runs, their checkpoints and packages are kept on."""
    data_claim: DnsName | None = None
    """The PersistentVolumeClaim with data and base models, mounted to be read only; the recipe's relative
    paths start at its root. Needed when the recipe names a file or a folder."""
    data_path: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$")] | None = None
    """The folder of that claim that the recipe's relative paths start at; its root when not given."""
    oci_data: Literal["init_container", "image_volume"] = "init_container"
    """How `oci://` sources get into the pod: fetched by an init container, which works everywhere, or mounted
    by the kubelet as an image volume (Kubernetes 1.36; fetched where the server is older). CRI-O mounts any
    artifact; containerd mounts images only, and not what `oras push` sent."""
    pull_secret: DnsName | None = None
    """The Secret (`kubernetes.io/dockerconfigjson`) that the init container fetches `oci://` sources with."""
    push_secret: DnsName | None = None
    """The Secret (`kubernetes.io/dockerconfigjson`) that the package is published with. Only the publishing
    step sees it."""
    parallelism: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How many variants of a sweep train at the same time; all of them when not given."""
    retries: Annotated[int, Field(ge=0, le=3)] = 2
    """How often a pod that failed by a fault of its own, or because a service did, is tried again. What a
    recipe or a gate is to blame for is never tried again; what the cluster stopped always is."""
    cpus: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPUs of a pod; `run.threads`, four for each GPU, or one without a GPU when not given."""
    shared_memory: Memory | None = None
    """The size of `/dev/shm`, a part of the pod's memory; what the plan computes when not given."""
    ephemeral_storage: Memory | None = None
    """The node's disk that a pod may use; what the plan computes when not given."""
    checkpoint_grace: Annotated[Duration, Field(le=3600)] | None = None
    """How long a pod that is asked to stop has for its checkpoint; 2 to 5 minutes by the adapter's size when
    not given."""
    keep_finished: Duration | None = None
    """How long a Job that has ended stays in the cluster: a day when not given. The run itself stays."""

    @model_validator(mode="after")
    def _what_belongs_together(self) -> KubernetesOptions:
        if self.data_path is not None and self.data_claim is None:
            raise ValueError("has a data_path and no data_claim that it lies on")
        if self.data_path is not None and ".." in self.data_path.split("/"):
            raise ValueError("has a data_path that leaves its volume")
        return self
