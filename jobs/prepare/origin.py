"""The origin of a run: found by the machine that submits it, and handed to pods in a variable.

    origin = find_origin(file.folder)
    as_variable(origin)                     # in a pod with this variable, find_origin returns the same

The first submission counts: a run keeps its origin, unless its recipe changes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from starfreight.errors import InputError
from starfreight.image import IMAGE_VARIABLE
from starfreight.jobs.prepare.ci_identity import find_invoker
from starfreight.jobs.prepare.recipe_source import find_recipe_source
from starfreight.jobs.protocol.environment import ORIGIN_VARIABLE
from starfreight.origin import Origin


def find_origin(folder: Path, environment: Mapping[str, str] | None = None) -> Origin | None:
    """The origin of a run that this process prepares.

    Args:
        folder: the recipe's directory.
        environment: of this process by default.

    Returns:
        ``None`` outside any repository and CI job. In a container of a job only the variable counts: its
        directories and its environment are not those of the recipe.

    Raises:
        InputError: the variable does not hold an origin.
    """
    environment = os.environ if environment is None else environment
    handed = environment.get(ORIGIN_VARIABLE)
    if handed:
        return _parse(handed)
    if environment.get(IMAGE_VARIABLE):
        return None
    origin = Origin(source=find_recipe_source(folder), invoker=find_invoker(environment))
    return None if origin == Origin() else origin


def as_variable(origin: Origin) -> str:
    """The value of the variable for a pod."""
    return origin.model_dump_json()


def _parse(text: str) -> Origin:
    try:
        return Origin.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            "The origin of the run is not valid.",
            where=f"environment variable {ORIGIN_VARIABLE}",
            fix="remove the variable: starfreight jobs run sets it in pods",
        ) from error
