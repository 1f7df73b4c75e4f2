"""The environment of a training program, wherever it runs."""

from __future__ import annotations

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}
"""What is set for it: it fetches nothing, and what it tells arrives at once."""

IMAGE_VARIABLE = "STARFREIGHT_IMAGE"
"""The digest of the image that a container was made from; whoever starts the container sets it."""
