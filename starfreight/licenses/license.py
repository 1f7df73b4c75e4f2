"""A license as data: what it allows, and the duties of whoever shares a model under it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from starfreight.records import Part

Line = Annotated[str, Field(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]+$")]

CheckName = Literal[
    "license-text", "use-restrictions", "base-documentation", "modifications", "notices", "trademarks",
    "name-prefix", "notice-text", "display-text", "same-license", "no-sharing", "judgement",
]  # fmt: skip
"""The checks of :mod:`starfreight.packager.provenance.duties`. ``judgement``: no program can check it."""

TrainingUse = Literal[
    "allowed", "attribution", "same-license", "restricted", "unknown", "noncommercial", "no-permission",
    "no-derivatives", "forbidden",
]  # fmt: skip
"""Training on texts under a license, from the mildest to the strictest."""

_WITH_VALUE = ("name-prefix", "notice-text", "display-text")


class Duty(Part):
    """A duty of whoever shares a model made from one under the license."""

    paragraph: Line
    """Of the license."""
    what: Line
    """One sentence, in the imperative."""
    check: CheckName
    value: Line | None = None
    """The prefix or the notice that the license prescribes."""
    how: Line
    """Way to meet it: completes the sentence "next: ..."."""

    @model_validator(mode="after")
    def _has_value(self) -> Self:
        if (self.value is not None) != (self.check in _WITH_VALUE):
            raise ValueError(f"a duty has a value if its check is one of {', '.join(_WITH_VALUE)}")
        return self


class License(Part):
    """A license, or several that differ in nothing that matters here."""

    ids: Annotated[tuple[Line, ...], Field(min_length=1)]
    """SPDX identifiers, or ``LicenseRef-...``."""
    aliases: dict[Line, Line] = Field(default_factory=dict)
    """Identifier by other spelling, such as a hub's."""
    pattern: Line | None = None
    """Regular expression for more names in any case: versions, countries, words in custom names."""
    name: Line
    url: Line | None = None
    text: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+\.txt$")] | None = None
    """File with the text of the first identifier, if Starfreight may ship it."""
    phrases: tuple[Line, ...] = ()
    """Parts of the text. A text that has all of them is recognised as this license."""
    restricts_use: bool = False
    """True if users are bound by restrictions that have to be passed on."""
    restrictions: tuple[Line, ...] = ()
    """Parts of these restrictions. A text that has all of them passes them on."""
    commercial: bool = True
    """True if the model may be used commercially."""
    training: TrainingUse
    """Training on texts under this license."""
    marks: tuple[Line, ...] = ()
    """Names that belong to the licensor."""
    duties: Annotated[tuple[Duty, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.restricts_use != bool(self.restrictions):
            raise ValueError("use restrictions are named if there are any")
        if not set(self.aliases.values()) <= set(self.ids):
            raise ValueError("an alias is the spelling of an identifier")
        if self.text is not None and not self.phrases:
            raise ValueError("a license with a text has phrases to recognise it")
        return self
