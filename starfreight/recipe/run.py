"""The recipe's ``run``: where a job runs and what it may use. Nothing here changes what is learned."""

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
"""``all``, how many, or which ones."""


class RunOptions(RecipePart):
    """Where the job runs and what it may use."""

    where: Literal["local", "docker", "kubernetes"] = "local"
    """`local`: a plain process on this machine. `docker`: a container on this machine. `kubernetes`: a Job
    in a cluster."""
    image: Line | None = None
    """The trainer image of a container or a pod, best with its digest (`HOST/NAME@sha256:...`); the one that
    `starfreight images build trainer` made last when not given."""
    gpus: Gpus | None = None
    """The GPUs of a container or a pod: `all`, how many (`2`; `0` for none), or which ones (`[0, 1]`, not in
    a cluster). When not given, a container gets all that there are, and a pod gets one."""
    memory: Memory | None = None
    """The most memory that a container or a pod may use, such as `32GB`. When not given, a container may use
    all, and a pod what the plan computes."""
    network: Line = "none"
    """The network of a Docker container, such as `bridge`. A job needs none: what its recipe names is fetched
    before it starts."""
    keep_container: bool = False
    """Keep a Docker container that has ended, to look into it. Its log is in the run's folder either way."""
    gpu_memory: Memory | None = None
    """The GPU memory that the plan must fit in, such as `24GB`."""
    time_limit: Duration | None = None
    """Stop with a checkpoint after this long, such as `2h`."""
    processes: Annotated[int, Field(ge=1, le=64)] | None = None
    """How many processes train together, each on a GPU of its own; one for each GPU of the machine when not
    given. They share the blocks of a step, so that the result is that of one process but for rounding."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads; chosen by the machine when not given."""
    kubernetes: KubernetesOptions = KubernetesOptions()
    """What a cluster has to know. Used with `where: kubernetes`."""

    def changed(self, **changes: Any) -> RunOptions:
        """The same with keys changed, as a command line may; those that are ``None`` stay.

        Keys of ``kubernetes`` are given as those of ``run`` itself, since no two have the same name.

        Raises:
            RecipeError: a value is none that the recipe could hold.
        """
        data = self.model_dump(mode="json")
        for key, value in changes.items():
            if value is not None:
                (data if key in RunOptions.model_fields else data["kubernetes"])[key] = value
        try:
            # By way of JSON, in which a recipe's values are written with their units.
            return RunOptions.model_validate_json(json.dumps(data))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise RecipeError(
                f"{first['input']!r} cannot be used: {first['msg']}.",
                where=f"option --{_option(first['loc'])}",
                fix="see --help",
            ) from error


def parse_gpus(text: str) -> Gpus:
    """GPUs as they are written on a command line: ``all``, ``2``, ``0,1`` or ``device=3``.

    Raises:
        RecipeError: none of these.
    """
    if text == "all":
        return "all"
    if re.fullmatch(r"[0-9]{1,2}", text):
        return int(text)
    which = text.removeprefix("device=").split(",")
    if all(re.fullmatch(r"[0-9]{1,2}", one) for one in which):
        return tuple(int(one) for one in which)
    raise RecipeError(
        f"{text!r} says neither how many GPUs nor which ones.",
        where="option --gpus",
        fix="write all, a count (2), which ones (0,1), or which one (device=3)",
    )


def _option(location: tuple[int | str, ...]) -> str:
    """The option that a key of ``run`` or of ``run.kubernetes`` is given by."""
    names = location[1:] if location[0] == "kubernetes" else location
    return str(names[0]).replace("_", "-")
