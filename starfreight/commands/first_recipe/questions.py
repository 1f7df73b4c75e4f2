"""The decisions for a first recipe: options of the command line, answers at a terminal, or defaults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from starfreight.base_model import STARTER
from starfreight.console import harmless
from starfreight.errors import InputError, RecipeError, StarfreightError

if TYPE_CHECKING:
    from starfreight.commands.first_recipe.base_look import BaseLook
    from starfreight.commands.first_recipe.code_look import CodeLook
    from starfreight.commands.first_recipe.recipe_text import Choices


def choose(seen: CodeLook, model: BaseLook, given: dict[str, str | None], *, asks: bool) -> Choices:
    """The user's decisions.

    Args:
        seen: the code.
        model: the base model.
        given: options by the names of :class:`Choices`.
        asks: true at a terminal.

    Raises:
        InputError: an option is invalid, or the license of the base model is unknown and nobody can be asked.
    """
    from starfreight.commands.first_recipe.recipe_text import (
        PROPRIETARY,
        Choices,
        default_held_out,
        default_name,
        default_sequence_length,
    )

    def decide(key: str, question: str, default: str | None, check: Callable[[str], None]) -> str:
        answer = given[key]
        if answer is None and not asks and default is None:
            raise InputError(
                "The license of the base model was not found.",
                where=model.model,
                fix="add it, as an SPDX identifier or LicenseRef-...: --base-license Apache-2.0",
            )
        if answer is None and asks:
            return ask(question, default, check)
        if answer is None:
            answer = default or ""
        check(answer)
        return answer

    return Choices(
        name=decide("name", "Name of the model", default_name(seen.folder), _check_name),
        code_license=decide(
            "code_license", "License of the code", seen.license or PROPRIETARY, _check_license
        ),
        base_license=decide("base_license", "License of the base model", model.license, _check_license),
        sequence_length=default_sequence_length(seen, model, gpu=_has_gpu()),
        held_out=default_held_out(seen),
    )


def ask(question: str, default: str | None, check: Callable[[str], None]) -> str:
    """The answer of the user, asked again until it is valid."""

    def checked(text: str) -> str:
        try:
            if text != default:
                check(text.strip())
        except StarfreightError as error:
            raise click.UsageError(harmless(f"{error.what} Next: {error.fix}.")) from None
        return text.strip()

    try:
        answer: str = click.prompt(
            question, default=default, show_default=bool(default), err=True, value_proc=checked
        )
    except click.Abort:
        click.echo(err=True)  # The answer's line has not ended.
        raise
    return answer


def check_code(text: str) -> None:
    """Check the answer for a directory of code."""
    if not text:
        return
    if not Path(text).expanduser().is_dir():
        raise InputError(f"{text!r} is not a directory.", fix="name the directory that holds your code")


def check_base(text: str) -> None:
    """Check the answer for a base model."""
    from starfreight.commands.first_recipe.base_look import look_at_base

    look_at_base(text)


def _check_name(text: str) -> None:
    from starfreight.recipe.load import validate_recipe

    where = "the options of starfreight init"
    minimal = {"version": 1, "name": text, "base": {"model": STARTER}, "data": [{"source": "."}]}
    try:
        validate_recipe(minimal, where)
    except RecipeError as error:
        error.fix = "use lower-case letters, digits, '.', '_' and '-', at most 63 characters: --name my-model"
        raise


def _check_license(text: str) -> None:
    from starfreight.licenses.registry import canonical_name, is_known
    from starfreight.licenses.spdx import is_license

    if not is_known(text) and not is_license(canonical_name(text)):
        raise RecipeError(
            f"{text!r} is not a license on the SPDX list.",
            where="--license or --base-license",
            fix="write an SPDX expression (https://spdx.org/licenses), or LicenseRef-NAME for your own",
        )


def _has_gpu() -> bool:
    from starfreight.commands.machine.finding import program_output

    return bool(program_output("nvidia-smi", "-L"))
