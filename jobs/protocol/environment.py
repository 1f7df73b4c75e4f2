"""Environment variables of a job's program, on every backend."""

from __future__ import annotations

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}
"""Set for each job: nothing is fetched from the hub, and output is not buffered."""

IMAGE_VARIABLE = "STARFREIGHT_IMAGE"
"""Digest of the container's image; set by the backend that starts the container."""
