"""A filled form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starfreight.packager.papers.facts import Facts
from starfreight.packager.papers.interface import Answer, Field, Form, Section

OPEN = "TO BE COMPLETED BY THE PROVIDER"
NOT_RECORDED = "Not in the record."
_NOTHING = Answer()


@dataclass(frozen=True)
class Paper:
    """A form with its answers.

    Attributes:
        form: the form.
        model: title of the model.
        answers: by key of the field.
    """

    form: Form
    model: str
    answers: dict[str, Answer]

    def answer(self, field: Field) -> Answer:
        """The record's answer to a field; empty without one."""
        return self.answers.get(field.key, _NOTHING)

    @property
    def open_fields(self) -> tuple[tuple[Section, Field], ...]:
        """The fields with a part for the provider."""
        return tuple(
            (section, field)
            for section in self.form.sections
            for field in section.fields
            if field.provider is not None
        )

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "form": self.form.name,
            "title": self.form.title,
            "source": self.form.source,
            "model": self.model,
            "sections": [
                {
                    "number": section.number,
                    "title": section.title,
                    "fields": [
                        {
                            "key": field.key,
                            "label": field.label,
                            "answer": list(self.answer(field).lines),
                            "head": list(self.answer(field).head),
                            "rows": [list(row) for row in self.answer(field).rows],
                            "open": field.provider,
                        }
                        for field in section.fields
                    ],
                }
                for section in self.form.sections
            ],
        }


def fill(form: Form, facts: Facts) -> Paper:
    """Answer a form from a package's record."""
    return Paper(form, facts.package.title, dict(form.answer(facts)))
