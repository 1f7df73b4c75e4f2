"""A Modelfile as data: its commands in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from starfreight.errors import InputError
from starfreight.recipe.ollama_parameters import PARAMETERS, REMOVED

Setting = bool | int | float | str | tuple[str, ...]

COMMANDS = (
    "FROM", "LICENSE", "TEMPLATE", "SYSTEM", "ADAPTER", "DRAFT", "RENDERER", "PARSER", "PARAMETER", "MESSAGE",
    "REQUIRES",
)  # fmt: skip
"""The commands of Ollama (``parser/parser.go``, August 2026)."""

ROLES = ("system", "user", "assistant")
"""The roles of a MESSAGE, as Ollama spells them."""

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: in capitals, such as ``PARAMETER``.
        value: the rest of it, without quotes.
        key: the name of a PARAMETER or the role of a MESSAGE; otherwise empty.
    """

    name: str
    value: str
    key: str = ""


@dataclass(frozen=True)
class Modelfile:
    """The commands of a Modelfile, without its comments."""

    commands: tuple[Command, ...]

    def values(self, name: str) -> tuple[str, ...]:
        """The values of all commands of a name."""
        return tuple(command.value for command in self.commands if command.name == name)

    @property
    def base(self) -> str:
        """The model or the GGUF file to start from: the first FROM."""
        return next(iter(self.values("FROM")), "")

    @property
    def adapter(self) -> str | None:
        """The adapter that Ollama takes: the last one."""
        return self._last("ADAPTER")

    @property
    def template(self) -> str | None:
        """The template that Ollama takes: the last one."""
        return self._last("TEMPLATE")

    @property
    def system(self) -> str | None:
        """The system prompt that Ollama takes: the last one."""
        return self._last("SYSTEM")

    @property
    def requires(self) -> str | None:
        """The oldest version of Ollama that the model needs."""
        return self._last("REQUIRES")

    @property
    def licenses(self) -> tuple[str, ...]:
        """The texts of the licenses."""
        return self.values("LICENSE")

    @property
    def messages(self) -> tuple[tuple[str, str], ...]:
        """The roles and texts of the messages."""
        return tuple((command.key, command.value) for command in self.commands if command.name == "MESSAGE")

    @property
    def unknown(self) -> tuple[Command, ...]:
        """The commands that Ollama does not have."""
        return tuple(command for command in self.commands if command.name not in COMMANDS)

    def parameters(self, where: str = "Modelfile") -> Mapping[str, Setting]:
        """The parameters with their types, ready for Ollama's API. ``stop`` collects; others replace.

        Args:
            where: the file, for errors.

        Raises:
            InputError: Ollama has no such parameter, or its value has another type.
        """
        found: dict[str, Setting] = {}
        for command in self._of("PARAMETER"):
            if command.key in REMOVED:
                continue
            value = _typed(command, where)
            earlier = found.get(command.key)
            found[command.key] = (
                (*earlier, *value) if isinstance(value, tuple) and isinstance(earlier, tuple) else value
            )
        return found

    def _of(self, name: str) -> Iterator[Command]:
        return (command for command in self.commands if command.name == name)

    def _last(self, name: str) -> str | None:
        values = self.values(name)
        return values[-1] if values else None


def _typed(command: Command, where: str) -> Setting:
    """A parameter's value as Ollama's ``FormatParams`` reads it."""
    import difflib

    kind = PARAMETERS.get(command.key)
    text = command.value
    if kind is None:
        near = difflib.get_close_matches(command.key.lower(), PARAMETERS, n=1, cutoff=0.6)
        raise InputError(
            f"Ollama has no parameter {command.key[:80]!r}.",
            where=where,
            fix=f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(PARAMETERS)}",
        )
    if kind.kind == "texts":
        return (text,)
    if kind.kind == "boolean" and text in (*_TRUE, *_FALSE):
        return text in _TRUE
    if kind.kind == "integer" and len(text) <= 20 and text.lstrip("+-").isdecimal() and text.isascii():
        number = int(text)
        if kind.least <= number <= kind.most:
            return number
    if kind.kind == "number" and len(text) <= 40 and "_" not in text:
        try:
            fraction = float(text)
        except ValueError:
            fraction = float("nan")
        if kind.least <= fraction <= kind.most:
            return fraction
    raise InputError(
        f"The parameter {command.key} is {text[:80]!r}, which is not {kind.words}.",
        where=where,
        fix=f"write PARAMETER {command.key} and {kind.words}",
    )
