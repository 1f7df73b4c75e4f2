"""Push the local data of a recipe to a registry, so that the recipe runs elsewhere.

pushed = push_recipe(Path("recipe.yaml"), "oci://ghcr.io/acme/data", console=console, ...)
for source in pushed.sources:
    print(source.written, "->", source.replacement)
"""

from starfreight.jobs.data.push.push_recipe import PushedRecipe, push_recipe

__all__ = ["PushedRecipe", "push_recipe"]
