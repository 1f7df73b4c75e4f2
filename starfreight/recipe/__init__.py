"""The first record: a recipe describes the model to make.

recipe = load_recipe(Path("recipe.yaml"))
for variant in expand(recipe):
    ...
"""

from starfreight.recipe.data import Data, Fim
from starfreight.recipe.identity import earlier_recipe_digest, recipe_digest
from starfreight.recipe.load import RecipeFile, load_recipe, validate_recipe
from starfreight.recipe.models import Base, Publish, Recipe, Training
from starfreight.recipe.package import ImportanceMatrix, Merge, ModelCard, PackageOptions
from starfreight.recipe.run import RunOptions, parse_gpus
from starfreight.recipe.sweep import expand

__all__ = [
    "Base",
    "Data",
    "Fim",
    "ImportanceMatrix",
    "Merge",
    "ModelCard",
    "PackageOptions",
    "Publish",
    "Recipe",
    "RecipeFile",
    "RunOptions",
    "Training",
    "earlier_recipe_digest",
    "expand",
    "load_recipe",
    "parse_gpus",
    "recipe_digest",
    "validate_recipe",
]
