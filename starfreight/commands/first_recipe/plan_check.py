"""The checks of ``starfreight plan``, made on a recipe before it is written."""

from __future__ import annotations

from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError, StarfreightError

_WHERE = "the options of starfreight init"


class NothingHeldOut(InputError):
    """The code is too little to hold out a part of it for evaluation."""


def check_as_plan_does(text: str, code: Path, console: Console) -> None:
    """Check a recipe like ``starfreight plan``.

    Args:
        text: the recipe; its relative paths start at the root of the file system.
        code: the directory of code, for errors.
        console: names what cannot be checked.

    Raises:
        NothingHeldOut: fewer than two files are left.
        StarfreightError: the error with which the plan would stop.
    """
    from starfreight.jobs.planning.run_checks import check_like_run
    from starfreight.recipe import RecipeFile, expand
    from starfreight.recipe.load import validate_recipe
    from starfreight.recipe.yaml import parse_yaml

    recipe = validate_recipe(parse_yaml(text, _WHERE), _WHERE)
    try:
        check_like_run(RecipeFile(recipe, Path("/")), expand(recipe), None, Console(quiet=True))
    except ServiceError as error:  # A model that only a server can describe.
        console.note(f"Not checked yet: {error.what}")
    except StarfreightError as error:
        where = error.where or ""
        if where.startswith("key data[0].held_out"):
            raise NothingHeldOut(error.what, where=error.where, fix=error.fix) from error
        if where.startswith("key training."):  # Less code than one block.
            error.where, error.fix = str(code), "name a directory with more code"
        elif where.startswith("key data[0]."):
            error.where = f"{code}, {where.split(',')[0]} of the recipe"
            error.fix = (
                "choose other code; or write a recipe with sample data (starfreight init DIR), "
                f"name the code in it and {error.fix}"
            )
        raise
