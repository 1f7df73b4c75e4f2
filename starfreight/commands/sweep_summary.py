"""The end of a sweep: its variants compared, and the next command."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import Console
from starfreight.errors import StarfreightError
from starfreight.recipe import Recipe

if TYPE_CHECKING:
    from starfreight.commands.pipeline import Shipped

_PLAIN_WIDTH = 160


def sweep_summary(
    shipped: Sequence[Shipped], recipe: Recipe, path: Path, console: Console, *, chosen: bool
) -> tuple[dict[str, Any], str]:
    """The comparison of a sweep's variants, for machines and for people.

    Args:
        shipped: the results of all variants, at least two.
        recipe: with the sweep.
        path: of the recipe.
        console: takes a note if they cannot be compared.
        chosen: true if ``--choose`` or ``--publish`` was given: then there is no next command.
    """
    from starfreight.jobs.report.compare import compare, table
    from starfreight.jobs.report.models.comparison import compare_models
    from starfreight.jobs.report.models.subjects import find_subjects
    from starfreight.jobs.report.models.text import models_text

    data: dict[str, Any] = {}
    texts = []
    try:
        rows = compare([each.run_folder for each in shipped])
        data["runs"] = [row.as_dict() for row in rows]
        texts.append(table(rows).as_text())
        if any(each.evaluations for each in shipped):
            subjects = find_subjects([each.package_folder for each in shipped])
            comparison = compare_models(subjects, None, console)
            width = shutil.get_terminal_size().columns if console.interactive else _PLAIN_WIDTH
            data |= comparison.as_dict()
            texts.append(models_text(comparison, width))
    except StarfreightError as error:  # The results themselves are complete.
        console.note(f"The variants cannot be compared: {error}")
    if not chosen:
        data["next"] = _next(shipped, recipe, path)
        texts.append(f"Next: {data['next']}")
    return data, "\n\n".join(texts)


def _next(shipped: Sequence[Shipped], recipe: Recipe, path: Path) -> str:
    """The command that publishes the best variant, or compares them further."""
    file = shlex.quote(str(path))
    if recipe.evaluate is not None:
        return f"starfreight run {file} --choose best" + (" --publish" if recipe.publish else "")
    packages = " ".join(shlex.quote(str(each.package_folder)) for each in shipped)
    return f"starfreight package compare {packages} --html compared.html"
