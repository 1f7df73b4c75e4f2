"""The first record: what is asked for.

recipe = load_recipe(Path("recipe.yaml"))
for variant in expand(recipe):
    ...
"""

from starfreight.recipe.data import Data, Fim
from starfreight.recipe.load import RecipeFile, load_recipe, recipe_digest, validate_recipe
from starfreight.recipe.models import Base, Publish, Recipe, Training
from starfreight.recipe.package import ImportanceMatrix, Merge, ModelCard, Package
from starfreight.recipe.run import RunOptions, parse_gpus
from starfreight.recipe.sweep import expand

__all__ = [
    "Base",
    "Data",
    "Fim",
    "ImportanceMatrix",
    "Merge",
    "ModelCard",
    "Package",
    "Publish",
    "Recipe",
    "RecipeFile",
    "RunOptions",
    "Training",
    "expand",
    "load_recipe",
    "parse_gpus",
    "recipe_digest",
    "validate_recipe",
]
