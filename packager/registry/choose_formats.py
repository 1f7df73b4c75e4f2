"""The formats of manifests to publish at a place."""

from __future__ import annotations

from starfreight.errors import InputError
from starfreight.registry.reference import TagReference, ollama_objection

DEFAULT = ("ollama", "modelpack")


def choose_formats(
    target: TagReference, wanted: tuple[str, ...] | None, *, with_adapter: bool
) -> tuple[str, ...]:
    """The formats to publish: the wanted ones, by default Ollama's and ModelPack.

    At a path that Ollama cannot pull, the default is ModelPack alone.

    Args:
        target: the place.
        wanted: formats that the user named.
        with_adapter: the package has an adapter beside the base model.

    Raises:
        InputError: no client could use a wanted format there.
    """
    objection = ollama_objection(target)
    if not wanted:
        return DEFAULT if objection is None else ("modelpack",)
    if "ollama" in wanted and objection is not None:
        raise InputError(
            f"Ollama cannot pull from there, because {objection}.",
            where=str(target),
            fix="leave out the format ollama, or choose a path HOST/NAMESPACE/NAME",
        )
    if "docker" in wanted and with_adapter:
        raise InputError(
            "Docker's format cannot name an adapter: its clients would run the base model without it.",
            where=str(target),
            fix="leave out the format docker, or build the package with package.ship: merged",
        )
    return tuple(dict.fromkeys(wanted))
