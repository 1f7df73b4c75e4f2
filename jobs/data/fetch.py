"""Fetches what a recipe names elsewhere: ``python -P -m starfreight.jobs.data.fetch RECIPE --folder DATA``.

A step of its own in a pod, before training: it alone sees the network and the credentials, and training finds
everything in the cache. What is there already is not fetched again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from starfreight.base_model import locate_base
from starfreight.errors import RecipeError, StarfreightError
from starfreight.jobs.backends.kubernetes.entrypoint import EventConsole, variant_of_pod
from starfreight.jobs.data.sources import locate_source
from starfreight.jobs.protocol import events
from starfreight.recipe import expand, load_recipe


def main(arguments: list[str]) -> int:
    """Fetches the base model and the data of one variant; returns the documented exit code."""
    parser = argparse.ArgumentParser(prog="python -P -m starfreight.jobs.data.fetch", description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--folder", type=Path, help="where the recipe's relative paths start")
    parser.add_argument("--variant", type=int, default=variant_of_pod() or 0, help="which one of a sweep")
    options = parser.parse_args(arguments)
    console = EventConsole()
    try:
        file = load_recipe(options.recipe)
        variants = expand(file.recipe)
        if not 0 <= options.variant < len(variants):
            raise RecipeError(
                f"The sweep has {len(variants)} variants, and there is no number {options.variant}.",
                where=str(options.recipe),
                fix="submit the recipe again: the job was made for another one",
            )
        recipe = variants[options.variant]
        folder = (options.folder or file.folder).resolve()
        console.heading("Fetching the inputs")
        locate_base(recipe.base, folder)
        for source in recipe.data:
            locate_source(source, folder, console)
    except StarfreightError as error:
        events.send("error", **error.as_dict())
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
