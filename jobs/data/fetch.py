"""Fetches the remote inputs of a recipe: ``python -P -m starfreight.jobs.data.fetch RECIPE --folder DATA``.

In a pod this is a step of its own before training: only this step has network access and credentials, and
training reads everything from the cache. Inputs in the cache are not fetched again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from starfreight.base_model import locate_base
from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.entrypoint import variant_of_pod
from starfreight.jobs.data.sources import locate_source
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.event_console import EventConsole
from starfreight.recipe import expand, load_recipe
from starfreight.unexpected import explain_to_job


def main(arguments: list[str]) -> int:
    """Fetch the base model and the data of one variant; return a documented exit code."""
    parser = argparse.ArgumentParser(prog="python -P -m starfreight.jobs.data.fetch", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--folder", type=Path, help="base of the recipe's relative paths")
    parser.add_argument(
        "--variant", type=int, default=variant_of_pod() or 0, help="number of the variant in a sweep"
    )
    options = parser.parse_args(arguments)
    console = EventConsole()
    try:
        file = load_recipe(options.recipe)
        variants = expand(file.recipe)
        if not 0 <= options.variant < len(variants):
            raise RecipeError(
                f"Variant {options.variant} does not exist: the sweep has {len(variants)}.",
                where=str(options.recipe),
                fix="submit the recipe again: the job was rendered from another version of it",
            )
        recipe = variants[options.variant]
        folder = (options.folder or file.folder).resolve()
        console.heading("Fetching the inputs")
        locate_base(recipe.base, folder)
        for source in recipe.data:
            locate_source(source, folder, console)
    except Exception as error:
        explained = explain_to_job(error)
        events.send("error", **explained.as_dict())
        return explained.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
