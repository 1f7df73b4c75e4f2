"""Runs the gateway in a container of the image ``gateway``, until it is stopped.

The container has a read-only root, no capabilities and the caller's user id. Files named in ``gateway.yaml``
are mounted read-only, and it uses the network of this machine, so that ``listen`` and a registry on loopback
mean the same as without a container.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError
from starfreight.packager.gateway.settings import Settings

if TYPE_CHECKING:
    from docker.models.containers import Container

_INSIDE = "/etc/starfreight"
_PATIENCE = 20


@dataclass
class Moved:
    """Settings for the inside of a container, and what they need from outside."""

    settings: dict[str, Any]
    mounts: dict[str, dict[str, str]] = field(default_factory=dict)
    """Path on this machine: ``bind`` and ``mode``, as the docker SDK takes them."""
    environment: dict[str, str] = field(default_factory=dict)


def move_inside(settings: Settings) -> Moved:
    """The settings with paths inside the container.

    Files are mounted by their directories: if a file is replaced, a mount of the file itself stays the old
    one.
    """
    moved = Moved(settings.model_dump(mode="json", exclude_none=True))
    data = moved.settings

    def place(part: dict[str, Any], key: str, *, mode: str = "ro") -> None:
        if key not in part or (key == "access_log" and part[key] in ("stderr", "off")):
            return
        path = Path(part[key])
        for folder, mount in moved.mounts.items():
            if folder == str(path.parent) and (mount["mode"] == mode or mount["mode"] == "rw"):
                part[key] = f"{mount['bind']}/{path.name}"
                return
        if str(path.parent) in moved.mounts:
            moved.mounts[str(path.parent)]["mode"] = "rw"
            part[key] = f"{moved.mounts[str(path.parent)]['bind']}/{path.name}"
            return
        inside = f"{_INSIDE}/{len(moved.mounts) + 1}"
        moved.mounts[str(path.parent)] = {"bind": inside, "mode": mode}
        part[key] = f"{inside}/{path.name}"

    def secret(part: dict[str, Any] | None) -> None:
        if part is None:
            return
        if "docker_secret" in part:
            part["file"] = f"/run/secrets/{part.pop('docker_secret')}"
        place(part, "file")
        if name := part.get("environment"):
            moved.environment[name] = os.environ.get(name, "")

    credential = data["registry"].get("credential", {})
    place(data["registry"], "ca")
    place(credential.get("token_server", {}), "ca")
    secret(credential.get("password"))
    for key in ("certificate", "key"):
        place(data.get("tls", {}), key)
    users = data.get("users", {})
    place(users, "authorized_keys")
    secret(users.get("signing_secret"))
    users.pop("socket", None)
    place(users, "audit_log", mode="rw")
    place(data, "access_log", mode="rw")
    return moved


def run_docker(
    settings: Settings, image: str | None, console: Console, *, started: Callable[[], object]
) -> None:
    """Run the container; returns when interrupted.

    Args:
        settings: the gateway's.
        image: reference or id; by default the image ``gateway`` built last.
        console: shows the state.
        started: called when the container runs.

    Raises:
        InputError: no image, or a file is missing.
        ServiceError: no engine, or the container ended by itself.
    """
    import docker.errors

    from starfreight.docker_engine import connect, engine_errors
    from starfreight.image import find_image

    if image is None:
        built = find_image("gateway")
        if built is None:
            raise InputError(
                "No gateway image was built on this machine.", where="--image",
                fix="build it (starfreight images build gateway), or use this machine's nginx: --on local",
            )  # fmt: skip
        image = built.id
    moved = move_inside(settings)
    engine = connect()
    with tempfile.TemporaryDirectory(prefix="starfreight-gateway-") as folder:
        file = Path(folder, "gateway.yaml")
        file.write_text(json.dumps(moved.settings))
        if os.geteuid() == 0:
            Path(folder).chmod(0o755)
        mounts = {folder: {"bind": f"{_INSIDE}/0", "mode": "ro"}, **moved.mounts}
        try:
            with engine_errors():
                container = engine.containers.run(
                    image, ["starfreight", "gateway", "run", f"{_INSIDE}/0/gateway.yaml", "--on", "local"],
                    detach=True, network_mode="host", read_only=True, cap_drop=["ALL"],
                    # Root without any other capability: nginx sets its groups.
                    cap_add=["SETGID"] if os.geteuid() == 0 else [], pids_limit=512,
                    security_opt=["no-new-privileges"], tmpfs={"/tmp": "mode=1777"}, volumes=mounts,
                    environment=moved.environment, user=f"{os.geteuid()}:{os.getegid()}",
                    labels={"dev.starfreight.gateway": settings.host},
                )  # fmt: skip
        except docker.errors.NotFound as error:
            raise InputError(
                f"The Docker Engine does not have this image: {error.explanation}.", where=image,
                fix="build it: starfreight images build gateway",
            ) from error  # fmt: skip
        try:
            _follow(container, started)
        finally:
            with contextlib.suppress(docker.errors.APIError):
                container.stop(timeout=_PATIENCE)
            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True, v=True)


def _follow(container: Container, started: Callable[[], object]) -> None:
    """Print the container's log until it ends, which is an error."""
    import sys

    waiting = 2  # Lines of its result, which is ours to print.
    rest = b""
    for piece in container.logs(stream=True, follow=True):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace")
            if waiting and text.startswith(("The gateway answers", "Next: ")):
                if waiting == 2:
                    started()
                waiting -= 1
                continue
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
    code = container.wait()["StatusCode"]
    raise ServiceError(
        f"The gateway's container has ended with exit code {code}.", where=str(container.name),
        fix="see its messages above",
    )  # fmt: skip
