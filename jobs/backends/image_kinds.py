"""The check that an image can do a kind of job, by its labels. The same on every backend."""

from __future__ import annotations

from collections.abc import Mapping

from starfreight.errors import InputError
from starfreight.image import LABEL_IMAGE, LABEL_KINDS, LABEL_PROTOCOL, PROTOCOL
from starfreight.jobs.kinds.interface import JobKind


def check_image_labels(labels: Mapping[str, str], kind: JobKind, reference: str) -> None:
    """Checks that a job of a kind can run in an image.

    An image without the label of its kinds is an older one; its own program refuses a kind that it lacks.

    Args:
        labels: of the image.
        kind: of the job.
        reference: of the image, for messages.

    Raises:
        InputError: the image is not one of Starfreight's, lacks the kind, or has another protocol.
    """
    build = f"starfreight images build {kind.image}"
    other = f"name another image, or build one: {build}"
    name = labels.get(LABEL_IMAGE)
    kinds = labels.get(LABEL_KINDS)
    able = name == kind.image if kinds is None else kind.name in kinds.split()
    if name is None:
        raise InputError(
            f"The image is not a {kind.image} image of Starfreight: its label {LABEL_IMAGE}={kind.image} is "
            "missing.",
            where=reference,
            fix=other,
        )
    if not able:
        can = f"can only {' or '.join(kinds.split())[:200]}" if kinds and kinds.split() else "cannot run jobs"
        raise InputError(
            f"The image cannot do this kind of job, {kind.name}: it is a {name} image, which {can}."
            if kinds is not None
            else f"The image is a {name} image; this kind of job, {kind.name}, needs a {kind.image} image.",
            where=reference,
            fix=other,
        )
    if labels.get(LABEL_PROTOCOL) != str(PROTOCOL):
        raise InputError(
            f"The image has protocol {labels.get(LABEL_PROTOCOL, 'none')}, "
            f"and this Starfreight needs protocol {PROTOCOL}.",
            where=reference,
            fix=f"{build}, or use the version of Starfreight that built the image",
        )
