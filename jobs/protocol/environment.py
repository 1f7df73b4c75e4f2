"""Environment variables of a job's program, on every backend."""

from __future__ import annotations

from starfreight.image import IMAGE_VARIABLE

__all__ = ["ENVIRONMENT", "IMAGE_VARIABLE", "ORIGIN_VARIABLE"]

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}
"""Set for each job: nothing is fetched from the hub, and output is not buffered."""

ORIGIN_VARIABLE = "STARFREIGHT_ORIGIN"
"""The origin of the run as JSON (:class:`starfreight.origin.Origin`), for pods: they cannot find it."""
