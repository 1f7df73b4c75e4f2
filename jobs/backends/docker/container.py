"""The container of a job, with few resources and fewer rights.

It has no network, no capabilities and no way to more privileges, and can write only to the job's directory,
``/tmp`` and ``/dev/shm``. These two are small for kinds of jobs that run generated code, whose sandbox uses
them. It runs as the user who started it, so that the files belong to that user.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight.image import LABEL_PROTOCOL, PROTOCOL
from starfreight.jobs.backends.docker.image import JobImage
from starfreight.jobs.backends.docker.mounts import Mounts
from starfreight.jobs.kinds.interface import Job
from starfreight.jobs.protocol.environment import ENVIRONMENT, IMAGE_VARIABLE

if TYPE_CHECKING:
    import docker

LABEL_RUN = "dev.starfreight.run"
LABEL_FOLDER = "dev.starfreight.folder"

_LOG = {"max-size": "100m", "max-file": "5"}
_PROCESSES = 4096
_SMALL = 256 << 20
"""Bytes of file systems in memory for jobs that run generated code."""
_STOP_SECONDS = 300
"""Time for a checkpoint when the engine stops all containers, e.g. before a restart."""


@dataclass(frozen=True)
class Host:
    """Properties of the engine and the user that decide a container's options.

    Attributes:
        rootless: the engine belongs to an ordinary user, whom a container sees as root.
        remapped: the engine maps the containers' user ids to others.
        labelled: SELinux denies containers access to files without their label.
        memory: of the machine, in bytes.
        user: user and group id of the user who starts the job.
        groups: other groups of that user.
    """

    rootless: bool
    remapped: bool
    labelled: bool
    memory: int
    user: tuple[int, int]
    groups: tuple[int, ...]

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Host:
        """This user, and the engine as ``docker info`` describes it."""
        parts = {part for option in info.get("SecurityOptions") or [] for part in str(option).split(",")}
        return cls(
            rootless="name=rootless" in parts,
            remapped="name=userns" in parts,
            labelled="name=selinux" in parts,
            memory=int(info.get("MemTotal") or 0),
            user=(os.getuid(), os.getgid()),
            groups=tuple(os.getgroups()),
        )


def container_name(run_id: str, number: int) -> str:
    """Name of a job's container; ``number`` is above 1 if a kept container has the name without one."""
    name = "starfreight-" + re.sub(r"[^a-zA-Z0-9_.-]", "-", run_id)
    return name if number == 1 else f"{name}-{number}"


@dataclass(frozen=True)
class ContainerSpec:
    """A container to create.

    Attributes:
        job: the job that runs in it.
        image: its image.
        mounts: its view of this machine.
        gpus: device requests of the engine's API.
        host: the user and the engine.
    """

    job: Job
    image: JobImage
    mounts: Mounts
    gpus: Sequence[Mapping[str, Any]]
    host: Host


def create(engine: docker.DockerClient, name: str, spec: ContainerSpec) -> str:
    """Creates the container without starting it, and returns its id.

    Raises:
        docker.errors.APIError: the engine refuses.
    """
    user = spec.host.user
    made = engine.api.create_container(
        spec.image.id,
        list(spec.mounts.command),
        name=name,
        user="0:0" if spec.host.rootless else f"{user[0]}:{user[1]}",
        environment={**ENVIRONMENT, "HOME": "/tmp", IMAGE_VARIABLE: spec.image.digest},
        labels={
            LABEL_RUN: spec.job.id,
            LABEL_FOLDER: str(spec.job.directory.resolve()),
            LABEL_PROTOCOL: str(PROTOCOL),
        },
        working_dir="/tmp",
        stop_signal="SIGTERM",
        stop_timeout=_STOP_SECONDS,
        # The proxies in ~/.docker/config.json may hold passwords, and the job needs no proxy.
        use_config_proxy=False,
        host_config=host_options(engine, spec),
    )
    return str(made["Id"])


def host_options(engine: docker.DockerClient, spec: ContainerSpec) -> dict[str, Any]:
    """Resources and rights of the container, in the format of the engine's API."""
    from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

    options, host = spec.job.options, spec.host
    generated = spec.job.kind.runs_generated_code
    # Half of the memory for shared memory, as Linux does by default. None is taken before it is used.
    shared = _SMALL if generated else (options.memory or host.memory or 2 << 30) // 2
    limits = [Ulimit(name="core", soft=0, hard=0)]
    if spec.gpus and not host.rootless:
        # Memory shared by several GPUs must be locked. In a rootless engine this limit cannot be raised.
        limits.append(Ulimit(name="memlock", soft=-1, hard=-1))
    result: dict[str, Any] = engine.api.create_host_config(
        mounts=[
            Mount(bind.target, str(bind.source), type="bind", read_only=bind.read_only)
            for bind in spec.mounts.binds
        ],
        network_mode=options.network,
        read_only=True,
        tmpfs={"/tmp": f"rw,nosuid,nodev,noexec,mode=1777{f',size={_SMALL}' if generated else ''}"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges", *(["label=disable"] if host.labelled else [])],
        group_add=[] if host.rootless else [str(group) for group in host.groups],
        userns_mode="host" if host.remapped else None,
        pids_limit=_PROCESSES,
        mem_limit=options.memory,
        # The sum of memory and swap, hence no swap: a job that swaps makes no progress.
        memswap_limit=options.memory,
        shm_size=shared,
        ulimits=limits,
        log_config=LogConfig(type="json-file", config=_LOG),
        device_requests=[DeviceRequest(**request) for request in spec.gpus] or None,
    )
    return result
