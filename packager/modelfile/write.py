"""Write a Modelfile so that Ollama reads the same values."""

from __future__ import annotations

import re

from starfreight.errors import InputError
from starfreight.packager.modelfile.commands import ROLES, Command, Modelfile

_BLANK = " \t\r\n"


def write_modelfile(modelfile: Modelfile, where: str = "Modelfile") -> str:
    """The text of a Modelfile; :func:`parse_modelfile` gives back an equal one.

    Args:
        modelfile: the commands.
        where: the file, for errors.

    Raises:
        InputError: a value cannot be written: Modelfiles have no escapes.
    """
    return "".join(f"{_line(command, where)}\n" for command in modelfile.commands)


def writable(value: str) -> str | None:
    """Why a value cannot be in a Modelfile, as the end of a sentence; ``None`` if it can."""
    dropped = next((each for each in value if not each.isprintable() and each not in "\t\r\n"), None)
    if dropped is not None:
        return f"Ollama drops the character U+{ord(dropped):04X} in it"
    lines = re.split(r"[\r\n]", value)
    # Checked from the opening mark on, so that an empty first line is no end.
    if any(line.rstrip(_BLANK).endswith('"""') for line in lines[:-1]):
        return 'a line of it ends with """, which ends a value'
    return None


def _line(command: Command, where: str) -> str:
    name, key = command.name, command.key
    keyed = name in ("PARAMETER", "MESSAGE")
    if not re.fullmatch(r"[A-Z]+", name) or bool(key) != keyed:
        raise InputError(f"{name[:40]!r} is not a command of a Modelfile.", where=where, fix="correct it")
    if (name == "MESSAGE" and key not in ROLES) or not re.fullmatch(r"[A-Za-z0-9_]*", key):
        raise InputError(
            f"{key[:80]!r} is not a valid {'role' if name == 'MESSAGE' else 'parameter name'}.",
            where=where,
            fix=f"use one of {', '.join(ROLES)}" if name == "MESSAGE" else "use letters, digits and _",
        )
    problem = writable(command.value)
    if problem:
        raise InputError(
            f"The value of {name} cannot be in a Modelfile: {problem}.",
            where=where,
            fix="change the text, or install the package with starfreight package install",
        )
    return " ".join([name, *([key] if key else []), _quoted(command.value)])


def _quoted(value: str) -> str:
    if value == "":
        return '""'
    if value.strip(_BLANK) == value and not re.search(r'[\r\n]|^"', value):
        return value
    return f'"""{value}"""'
