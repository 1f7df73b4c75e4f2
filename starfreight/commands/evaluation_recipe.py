"""The recipe of an evaluation, from a file, a run, or the command line alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from starfreight.commands.evaluation import DEFAULT_SUITES
from starfreight.errors import InputError, RecipeError
from starfreight.recipe import Recipe, RecipeFile, load_recipe
from starfreight.recipe.evaluate import Evaluate
from starfreight.recipe.run import RunOptions

_CHOICES = ("limit", "samples", "temperature")
_SETTINGS = ("seed", "seconds")


def evaluation_recipe(target: str, package: Path | None, options: Mapping[str, Any]) -> RecipeFile:
    """A recipe whose ``evaluate`` and ``run`` hold the command line's options.

    Args:
        target: the model that the user named.
        package: the directory of its package, if it has one.
        options: of ``jobs evaluate``, ``None`` if not given.

    Raises:
        RecipeError: the recipe or an option is wrong.
        InputError: a file of problems is named in the wrong way.
    """
    if options["recipe"] is not None:
        file = load_recipe(options["recipe"])
        recipe, folder, run = file.recipe, file.folder, file.recipe.run
    else:
        recipe, folder, run = _of_run(target, package) or _small(target), Path.cwd(), RunOptions()
    recipe = recipe.model_copy(
        update={"evaluate": _evaluate(recipe.evaluate, options), "sweep": {}, "run": run}
    )
    changes = {name: options[name] for name in ("where", "image", "memory")}
    if changes["where"] is None and run.where == "kubernetes":
        changes["where"] = "local"  # The package is here, wherever the recipe trains.
    if changes["where"] == "kubernetes":
        recipe = _for_pod(recipe, target, options)
    return RecipeFile(recipe, folder).with_run_options(**changes)


def recipes_model(path: Path | None, *, in_cluster: bool) -> str | None:
    """The model that a recipe names for evaluation; ``None`` if it names none.

    Args:
        path: of the recipe, if there is one.
        in_cluster: the model is found there; otherwise its path starts at the recipe's directory.
    """
    file = None if path is None else load_recipe(path)
    model = file.recipe.evaluate.model if file is not None and file.recipe.evaluate is not None else None
    if file is None or model is None or in_cluster or "://" in model:
        return model
    return str(file.folder / model)


def _for_pod(recipe: Recipe, target: str, options: Mapping[str, Any]) -> Recipe:
    """The recipe with the model in it: a pod sees nothing of this machine."""
    for name in ("held_out", "run", "reference", "quantizations", "baselines"):
        if options[name]:
            option = name.removesuffix("s") if name.endswith("s") else name
            raise InputError(
                "A pod cannot do this: it evaluates the model that its recipe names.",
                where=f"option --{option.replace('_', '-')}",
                fix="leave it out, or evaluate on this machine",
            )
    assert recipe.evaluate is not None
    return recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"model": target})})


def _evaluate(asked: Evaluate | None, options: Mapping[str, Any]) -> Evaluate:
    from starfreight.jobs.evaluate.suites.table import check_suite_name

    files = dict(_file(text) for text in options["files"])
    known = asked.model_dump(mode="json") if asked is not None else {"suites": {}}
    names = [*options["suites"], *(name for name in files if options["suites"])]
    names = names or [*(known["suites"] or (files or DEFAULT_SUITES))]
    suites = {}
    for name in dict.fromkeys(names):
        check_suite_name(name, "option --suite")
        choice = dict(known["suites"].get(name, {}))
        choice |= {key: options[key] for key in _CHOICES if options[key] is not None}
        suites[name] = choice | ({"file": files[name]} if name in files else {})
    for name in files:
        check_suite_name(name, "option --file")
        if name not in suites:
            raise InputError(
                f"The suite {name!r} is not run.", where="option --file", fix="add it with --suite"
            )
    known |= {key: options[key] for key in _SETTINGS if options[key] is not None}
    try:
        return Evaluate.model_validate_json(json.dumps({**known, "suites": suites}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RecipeError(f"An option is not valid: {first['msg']}.", fix="see --help") from error


def _file(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise InputError(
            f"{text[:80]!r} does not name a suite and a file.",
            where="option --file",
            fix="write --file SUITE=PATH",
        )
    # The id of a data set on the hub stays as it is.
    return name, str(Path(path).absolute()) if Path(path).exists() else path


def _of_run(target: str, package: Path | None) -> Recipe | None:
    """The recipe of the run that a package was made from."""
    from starfreight.jobs.evaluate.held_out import run_of_package
    from starfreight.run import RUN_FILE, Run

    if package is None:
        return None
    path = Path(target)
    run = path if (path / RUN_FILE).exists() else run_of_package(package)
    return None if run is None else Run.load(run).recipe


def _small(target: str) -> Recipe:
    """A recipe for a model that has none: nothing in it is trained or packaged."""
    last = target.rstrip("/").rpartition("/")[2].lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", last.removesuffix(".gguf")).strip("-._")[:60] or "model"
    data = {
        "version": 1,
        "name": name,
        "base": {"model": "builtin:starter"},
        "data": [{"source": ".", "license": "NONE"}],
    }
    return Recipe.model_validate_json(json.dumps(data))
