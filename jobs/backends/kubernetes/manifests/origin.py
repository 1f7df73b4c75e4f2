"""The origin of a run in its pods: a variable, added when a job is submitted.

Rendered manifests are without it, because they are the same for every commit and every CI job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starfreight.image import IMAGE_VARIABLE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.prepare.origin import as_variable
from starfreight.jobs.protocol.environment import ORIGIN_VARIABLE
from starfreight.origin import Origin


def add_origin(documents: Sequence[Object], origin: Origin | None) -> None:
    """Sets the variable in all steps of rendered jobs, of any kind of object.

    Args:
        documents: changed in place.
        origin: of the recipe.
    """
    if origin is not None:
        _add(list(documents), as_variable(origin))


def _add(value: Any, text: str) -> None:
    if isinstance(value, dict):
        variables = value.get("env")
        if isinstance(variables, list):
            names = [each.get("name") for each in variables]
            if IMAGE_VARIABLE in names and ORIGIN_VARIABLE not in names:
                variables.append({"name": ORIGIN_VARIABLE, "value": text})
        for each in value.values():
            _add(each, text)
    elif isinstance(value, list):
        for each in value:
            _add(each, text)
