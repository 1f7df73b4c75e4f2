"""Jobs in containers of the Docker Engine on this machine."""

from __future__ import annotations

from starfreight.jobs.backends.docker.backend import DockerRunner

__all__ = ["DockerRunner"]
