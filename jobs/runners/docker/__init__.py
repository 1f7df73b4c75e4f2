"""Jobs in containers of the Docker Engine on this machine."""

from __future__ import annotations

from jobs.runners.docker.runner import DockerRunner

__all__ = ["DockerRunner"]
