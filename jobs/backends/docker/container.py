"""The container that a job gets: what it may use, and the little that it may do.

It has no network, no capabilities, no way to more privileges, and can write to the run's folder and ``/tmp``
alone. It runs as the user who started it, so that the files are that user's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.image import LABEL_PROTOCOL, PROTOCOL
from starfreight.jobs.backends.docker.image import TrainerImage
from starfreight.jobs.backends.docker.mounts import Layout
from starfreight.jobs.train.environment import ENVIRONMENT, IMAGE_VARIABLE
from starfreight.run import Run

if TYPE_CHECKING:
    import docker

LABEL_RUN = "dev.starfreight.run"
LABEL_FOLDER = "dev.starfreight.folder"

_LOG = {"max-size": "100m", "max-file": "5"}
_PROCESSES = 4096
_STOP_SECONDS = 300
"""How long the engine waits for a checkpoint when it stops all containers, as before a restart."""


@dataclass(frozen=True)
class Host:
    """What of the engine and the user decides a container's options.

    Attributes:
        rootless: the engine is an ordinary user's, whom a container sees as root.
        remapped: the engine gives containers other user numbers than the machine's.
        labelled: SELinux keeps containers from files that are not labelled for them.
        memory: of the machine, in bytes.
        user: who starts the job: user and group number.
        groups: the other groups of that user.
    """

    rootless: bool
    remapped: bool
    labelled: bool
    memory: int
    user: tuple[int, int]
    groups: tuple[int, ...]

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Host:
        """This user, and what the engine says of itself."""
        said = {part for option in info.get("SecurityOptions") or [] for part in str(option).split(",")}
        return cls(
            rootless="name=rootless" in said,
            remapped="name=userns" in said,
            labelled="name=selinux" in said,
            memory=int(info.get("MemTotal") or 0),
            user=(os.getuid(), os.getgid()),
            groups=tuple(os.getgroups()),
        )


def container_name(run_id: str, number: int) -> str:
    """The name of a run's container; ``number`` is more than 1 where that of a kept one is taken."""
    name = "starfreight-" + re.sub(r"[^a-zA-Z0-9_.-]", "-", run_id)
    return name if number == 1 else f"{name}-{number}"


@dataclass(frozen=True)
class Order:
    """What a container is made for and of.

    Attributes:
        folder: the run's folder.
        run: its record.
        image: what the container is made from.
        layout: what it sees of this machine.
        gpus: device requests of the engine's API.
        host: who asks, and whom.
    """

    folder: Path
    run: Run
    image: TrainerImage
    layout: Layout
    gpus: Sequence[Mapping[str, Any]]
    host: Host


def create(engine: docker.DockerClient, name: str, order: Order) -> str:
    """Makes the container, which does not run yet, and returns its id.

    Raises:
        docker.errors.APIError: the engine refuses.
    """
    user = order.host.user
    made = engine.api.create_container(
        order.image.id,
        order.layout.command(),
        name=name,
        user="0:0" if order.host.rootless else f"{user[0]}:{user[1]}",
        environment={**ENVIRONMENT, "HOME": "/tmp", IMAGE_VARIABLE: order.image.digest},
        labels={
            LABEL_RUN: order.run.id,
            LABEL_FOLDER: str(order.folder.resolve()),
            LABEL_PROTOCOL: str(PROTOCOL),
        },
        working_dir="/tmp",
        stop_signal="SIGTERM",
        stop_timeout=_STOP_SECONDS,
        # The proxies in ~/.docker/config.json may have passwords in them, and the job needs none.
        use_config_proxy=False,
        host_config=host_options(engine, order),
    )
    return str(made["Id"])


def host_options(engine: docker.DockerClient, order: Order) -> dict[str, Any]:
    """What the container may use of the machine, as the engine's API has it."""
    from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

    options, host = order.run.recipe.run, order.host
    limits = [Ulimit(name="core", soft=0, hard=0)]
    if order.gpus and not host.rootless:
        # Memory that several GPUs share has to stay in place. An ordinary user may not raise this.
        limits.append(Ulimit(name="memlock", soft=-1, hard=-1))
    result: dict[str, Any] = engine.api.create_host_config(
        mounts=[
            Mount(bind.target, str(bind.source), type="bind", read_only=bind.read_only)
            for bind in order.layout.binds
        ],
        network_mode=options.network,
        read_only=True,
        tmpfs={"/tmp": "rw,nosuid,nodev,noexec,mode=1777"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges", *(["label=disable"] if host.labelled else [])],
        group_add=[] if host.rootless else [str(group) for group in host.groups],
        userns_mode="host" if host.remapped else None,
        pids_limit=_PROCESSES,
        mem_limit=options.memory,
        # No swap on top of it: a job that swaps gets nowhere.
        memswap_limit=options.memory,
        # As much as a Linux machine has by default: half of the memory. It takes none until it is used.
        shm_size=(options.memory or host.memory or 2 << 30) // 2,
        ulimits=limits,
        log_config=LogConfig(type="json-file", config=_LOG),
        device_requests=[DeviceRequest(**request) for request in order.gpus] or None,
    )
    return result
