"""The forms, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files

from starfreight.packager.papers.eu_model_documentation.answers import answers as model_documentation
from starfreight.packager.papers.eu_training_summary.answers import answers as training_summary
from starfreight.packager.papers.facts import Facts
from starfreight.packager.papers.interface import Answer, Field, Form, Section

_ANSWERS: Mapping[str, Callable[[Facts], Mapping[str, Answer]]] = {
    "eu-training-summary": training_summary,
    "eu-model-documentation": model_documentation,
}
FORMS = tuple(_ANSWERS)
"""Names of all forms."""


def load_form(name: str) -> Form:
    """A form by its name.

    Raises:
        KeyError: there is none.
    """
    import yaml

    answer = _ANSWERS[name]
    folder = f"starfreight.packager.papers.{name.replace('-', '_')}"
    value = yaml.safe_load(files(folder).joinpath("form.yaml").read_text(encoding="utf-8"))
    sections = tuple(
        Section(
            str(each["number"]),
            each["title"],
            tuple(Field(one["key"], one["label"], one.get("provider")) for one in each["fields"]),
        )
        for each in value["sections"]
    )
    return Form(name, value["title"], " ".join(value["source"].split()), sections, answer)
