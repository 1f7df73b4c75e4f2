"""The recipe's ``run``: where a job runs, and its resources. Nothing here changes the trained adapter."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from starfreight.errors import RecipeError
from starfreight.recipe.kubernetes import KubernetesOptions
from starfreight.recipe.units import Duration, Memory
from starfreight.recipe.values import Line, RecipePart

Count = Annotated[int, Field(ge=0, le=64)]
Gpus = Literal["all"] | Count | Annotated[tuple[Count, ...], Field(min_length=1, max_length=64)]
"""``all``, a count, or a tuple of device numbers."""


class RunOptions(RecipePart):
    """Where the job runs, and its resources."""

    where: Literal["local", "docker", "kubernetes"] = "local"
    """`local`: a process on this machine. `docker`: a container on this machine. `kubernetes`: a Job in a
    cluster."""
    image: Line | None = None
    """Trainer image of a container or a pod, preferably with its digest (`HOST/NAME@sha256:...`). Defaults to
    the last image of `starfreight images build trainer`."""
    gpus: Gpus | None = None
    """GPUs of a container or a pod: `all`, a count (`2`; `0` for none), or device numbers (`[0, 1]`, not in a
    cluster). By default a container gets all GPUs, a pod gets one."""
    memory: Memory | None = None
    """Memory limit of a container or a pod, such as `32GB`. By default a container has no limit; the plan
    computes the one of a pod."""
    network: Line = "none"
    """Network of a Docker container, such as `bridge`. A job needs none: all inputs are fetched before it
    starts."""
    keep_container: bool = False
    """Keep a finished Docker container for inspection. Its log is in the run's directory either way."""
    gpu_memory: Memory | None = None
    """GPU memory to plan for, such as `24GB`."""
    time_limit: Duration | None = None
    """Stop with a checkpoint after this time, such as `2h`."""
    processes: Annotated[int, Field(ge=1, le=64)] | None = None
    """Number of processes that train together, each on its own GPU; one per GPU of the machine by default.
    They share the blocks of a step: except for rounding, the result is the same as with one process."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads; chosen by the machine by default."""
    allow_little_data: bool = False
    """Train even if a filter leaves out most of a source, nothing is held out, or the data fills less than
    one block of `training.sequence_length` tokens."""
    kubernetes: KubernetesOptions = KubernetesOptions()
    """Settings of the cluster. Used with `where: kubernetes`."""

    def changed(self, **changes: Any) -> RunOptions:
        """A copy with keys changed by a command line's options. Options that are ``None`` are ignored.

        Keys of ``kubernetes`` are passed like those of ``run`` itself: no two have the same name.

        Raises:
            RecipeError: a value is not valid in a recipe.
        """
        data = self.model_dump(mode="json")
        for key, value in changes.items():
            if value is not None:
                (data if key in RunOptions.model_fields else data["kubernetes"])[key] = value
        try:
            # By way of JSON: its values have their units.
            return RunOptions.model_validate_json(json.dumps(data))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise RecipeError(
                f"{first['input']!r} is not valid: {first['msg']}.",
                where=f"option --{_option(first['loc'])}",
                fix="see --help",
            ) from error


def parse_gpus(text: str) -> Gpus:
    """Parses the GPUs of a command line: ``all``, ``2``, ``0,1`` or ``device=3``.

    Raises:
        RecipeError: any other text.
    """
    if text == "all":
        return "all"
    if re.fullmatch(r"[0-9]{1,2}", text):
        return int(text)
    which = text.removeprefix("device=").split(",")
    if all(re.fullmatch(r"[0-9]{1,2}", one) for one in which):
        return tuple(int(one) for one in which)
    raise RecipeError(
        f"{text!r} is neither a number of GPUs nor a list of them.",
        where="option --gpus",
        fix="write all, a count (2), device numbers (0,1), or one device (device=3)",
    )


def _option(location: tuple[int | str, ...]) -> str:
    """The command-line option of a key of ``run`` or of ``run.kubernetes``."""
    names = location[1:] if location[0] == "kubernetes" else location
    return str(names[0]).replace("_", "-")
