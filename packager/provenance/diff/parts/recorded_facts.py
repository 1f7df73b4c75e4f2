"""Model, base and recipe: values that both packages record."""

from __future__ import annotations

from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.diff.values import values_section
from starfreight.recipe.flat import flat_keys

_MODEL = ("name", "title", "description", "architecture", "parameters", "context_length")


class ModelPart:
    """Name, title, description and shape."""

    name = "model"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        one, two = ({key: getattr(side.package, key) for key in _MODEL} for side in (before, after))
        return values_section(one, two)


class BasePart:
    """The base model and its files."""

    name = "base"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        one, two = (
            {
                **side.package.base.model_dump(),
                **{f"file {path}": digest for path, digest in _files(side).items()},
            }
            for side in (before, after)
        )
        return values_section(one, two)


class RecipePart:
    """The recipe, key by key."""

    name = "recipe"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        if before.provenance is None or after.provenance is None:
            one, two = ({"digest": side.package.recipe} for side in (before, after))
            return values_section(one, two)
        recipes = (before.provenance.recipe, after.provenance.recipe)
        one, two = (flat_keys(each.model_dump(mode="json")) for each in recipes)
        given = [flat_keys(each.model_dump(mode="json", exclude_defaults=True)) for each in recipes]
        # Of a source in one recipe alone, only the keys with other values than their defaults.
        kept = [
            {key: value for key, value in each.items() if key in other or key in named}
            for each, other, named in ((one, two, given[0]), (two, one, given[1]))
        ]
        return values_section(kept[0], kept[1])


def _files(side: Side) -> dict[str, str]:
    return dict(side.provenance.base_files) if side.provenance else {}
