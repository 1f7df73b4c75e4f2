"""The card's front matter: the metadata that model hubs read, as YAML with JSON values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from starfreight.licenses.registry import canonical_name, find_license
from starfreight.packager.card.escape import one_line
from starfreight.packager.card.training_data import TrainingData
from starfreight.packager.model_description import ModelDescription
from starfreight.packager.training_method import TRAINING_METHODS
from starfreight.run import Run

_HUB_NAMES = {"odc-by-1.0": "odc-by", "pddl-1.0": "pddl"}
_VERSIONED_GNU = re.compile(r"((?:a|l)?gpl-[0-9.]+)-(?:only|or-later)")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_NOT_IN_TAG = re.compile(r"[^a-z0-9+#.]+")
_MOST_LANGUAGES = 10


def front_matter(model: ModelDescription, run: Run, data: TrainingData, license: str) -> str:
    """The lines between the dashes.

    Args:
        model: the model's description.
        run: the finished run.
        data: the training data.
        license: of the model.
    """
    recipe = run.recipe
    languages = [tag for row in data.languages[:_MOST_LANGUAGES] if (tag := _tag(row.name))]
    tags = ["code", "fill-in-the-middle", "gguf", TRAINING_METHODS[recipe.training.method].tag, "starfreight"]
    values: dict[str, Any] = {
        **_license(license),
        **(_base(model, recipe.package.ship) if run.base.revision is not None else {}),
        "datasets": _datasets(source.source for source in recipe.data),
        "library_name": "gguf",
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys((*tags, *languages))),
    }
    return "".join(f"{key}: {_yaml(value)}\n" for key, value in values.items() if value != [])


def _base(model: ModelDescription, ship: str) -> Mapping[str, str]:
    """Of a base on the hub, which refuses cards with any other name."""
    if not _HUB_ID.fullmatch(model.base.name):
        return {}
    relation = "adapter" if ship == "adapter" else "finetune"
    return {"base_model": model.base.name, "base_model_relation": relation}


def hub_license(name: str) -> str | None:
    """The hub's name of a license; ``None`` if it has none."""
    lower = name.strip().casefold()
    found = _HUB_NAMES.get(lower, lower)
    if (gnu := _VERSIONED_GNU.fullmatch(found)) is not None:
        found = gnu[1]
    license = find_license(name)
    # The aliases are those of its first identifier.
    aliases = license.aliases if canonical_name(name) == license.ids[0] else ()
    return next((each for each in (found, *aliases) if each in _hub_licenses()), None)


@lru_cache(maxsize=1)
def _hub_licenses() -> frozenset[str]:
    """The hub's names of licenses (https://huggingface.co/docs/hub/repositories-licenses)."""
    listed = files("starfreight.packager.card").joinpath("hub_licenses.txt")
    return frozenset(listed.read_text(encoding="utf-8").split())


def _license(name: str) -> Mapping[str, str]:
    known = hub_license(name)
    if known is not None:
        return {"license": known}
    return {"license": "other", "license_name": one_line(name), "license_link": "LICENSE"}


def _datasets(sources: Iterable[str]) -> list[str]:
    names = (source.removeprefix("dataset:") for source in sources if source.startswith("dataset:"))
    return list(dict.fromkeys(name for name in names if _HUB_ID.fullmatch(name)))


def _tag(language: str) -> str:
    return _NOT_IN_TAG.sub("-", language.casefold()).strip("-")[:40]


def _yaml(value: object) -> str:
    """A value as JSON on one line, which is YAML. Characters that YAML breaks lines at are spaces by now."""
    if isinstance(value, list):
        return json.dumps([one_line(each) for each in value], ensure_ascii=False)
    return json.dumps(one_line(value), ensure_ascii=False)
