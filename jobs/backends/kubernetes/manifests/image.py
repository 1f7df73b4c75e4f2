"""The image that a job's pods run, which has to be named by its digest."""

from __future__ import annotations

from starfreight.errors import InputError, RecipeError
from starfreight.image import find_image
from starfreight.registry import parse_digest_reference


def choose_image(asked: str | None) -> tuple[str, str]:
    """The trainer image and its digest: the one that is asked for, or the one that was pushed last.

    Raises:
        RecipeError: it has no digest, or there is none.
    """
    if asked is not None:
        name, at, digest = asked.partition("@")
        # A tag beside the digest is for people: the digest decides.
        host, slash, path = name.rpartition("/")
        untagged = host + slash + path.partition(":")[0]
        try:
            reference = parse_digest_reference(untagged + at + digest)
        except InputError as error:
            raise RecipeError(
                f"The image {error.what.removeprefix('The reference ')}",
                where="key run.image, or option --image",
                fix="write HOST/NAME@sha256:..., as starfreight images push prints it: a tag can move, and "
                "then nobody can say what has trained",
            ) from None
        return str(reference), reference.digest
    built = find_image("trainer")
    if built is None or built.pushed is None:
        raise RecipeError(
            "There is no trainer image that a cluster could pull."
            if built is None
            else f"The trainer image {built.reference} is on this machine only.",
            where="key run.image, or option --image",
            fix=("starfreight images build trainer, then " if built is None else "")
            + "starfreight images push trainer, or name an image: HOST/NAME@sha256:...",
        )
    return built.pushed, built.digest
