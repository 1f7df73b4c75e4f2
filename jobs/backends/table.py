"""The backends by name, and the choice of one for a job. Backends are imported on first use."""

from __future__ import annotations

import importlib

from starfreight.jobs.backends.interface import Backend, Location

BACKENDS = {
    "local": "starfreight.jobs.backends.local.backend:LocalBackend",
    "docker": "starfreight.jobs.backends.docker.backend:DockerBackend",
    "kubernetes": "starfreight.jobs.backends.kubernetes.backend:KubernetesBackend",
}
"""``module:class`` of each :class:`Backend`, by the name that ``--on`` takes."""


def open_backend(where: str, location: Location) -> Backend:
    """Opens the backend with a name, for the jobs of a location."""
    module, _, attribute = BACKENDS[where].partition(":")
    backend: Backend = getattr(importlib.import_module(module), attribute)(location)
    return backend


def backend_of(name: str, where: str | None, location: Location) -> Backend:
    """The backend of a job: the named one if any, otherwise the one in the job's record on this machine."""
    if where is None:
        from starfreight.jobs.backends.run_directories import recorded_backend

        where = recorded_backend(name, location) or "local"
    return open_backend(where, location)
