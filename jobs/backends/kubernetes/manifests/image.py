"""Chooses the image of a job's pods. It must have a digest."""

from __future__ import annotations

from starfreight.errors import InputError, RecipeError
from starfreight.image import find_image
from starfreight.registry import parse_digest_reference


def choose_image(name: str, wanted: str | None) -> tuple[str, str]:
    """Reference and digest of the image: the requested one, or the one pushed last.

    Args:
        name: of the image that the job needs, e.g. ``trainer``.
        wanted: the recipe's choice.

    Raises:
        RecipeError: the reference has no digest, or no image has been pushed.
    """
    if wanted is not None:
        repository, at, digest = wanted.partition("@")
        # A tag before the digest is informative only.
        host, slash, path = repository.rpartition("/")
        untagged = host + slash + path.partition(":")[0]
        try:
            reference = parse_digest_reference(untagged + at + digest)
        except InputError as error:
            raise RecipeError(
                f"The image {error.what.removeprefix('The reference ')}",
                where="key run.image, or option --image",
                fix="write HOST/NAME@sha256:..., as starfreight images push prints it: a tag can move, and "
                "the image that trained would be unknown",
            ) from None
        return str(reference), reference.digest
    built = find_image(name)
    if built is None or built.pushed is None:
        raise RecipeError(
            f"No {name} image has been built and pushed."
            if built is None
            else f"The {name} image {built.reference} is on this machine only.",
            where="key run.image, or option --image",
            fix=(f"starfreight images build {name}, then " if built is None else "")
            + f"starfreight images push {name}, or name an image: HOST/NAME@sha256:...",
        )
    return built.pushed, built.digest
