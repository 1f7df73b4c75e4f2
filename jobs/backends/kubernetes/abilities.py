"""The check, inside a pod, that its image has the program and the libraries of a kind of job.

``jobs run`` makes it before, by the labels of the image, if it can read them
(:mod:`starfreight.jobs.backends.kubernetes.client.image_labels`).
"""

from __future__ import annotations

import importlib.util
import os

from starfreight import __version__
from starfreight.errors import InputError
from starfreight.jobs.kinds.table import KINDS, find_kind
from starfreight.jobs.protocol.environment import IMAGE_VARIABLE


def check_abilities(name: str) -> None:
    """Fails if this image cannot do a kind of job. The exit code, 2, is not retried.

    Raises:
        InputError: it lacks the kind, or a library of it.
    """
    where = f"image {os.environ.get(IMAGE_VARIABLE) or 'of this pod'}, Starfreight {__version__}"
    if name not in KINDS:
        raise InputError(
            f"The image cannot do this kind of job: {name[:60]!r}. It can do: {', '.join(KINDS)}.",
            where=where,
            fix="build and push the image again with the Starfreight that submits the job: "
            "starfreight images build trainer",
        )
    kind = find_kind(name)
    missing = [library for library in kind.libraries if importlib.util.find_spec(library) is None]
    if missing:
        raise InputError(
            f"The image lacks {', '.join(missing)}, which {kind.activity} needs.",
            where=where,
            fix=f"name a {kind.image} image, or build one: starfreight images build {kind.image}",
        )
