"""The Modelfile of a package, for files on disk: ``ollama create NAME -f Modelfile``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starfreight.errors import GateError, InputError
from starfreight.package import Descriptor, LicenseFile, Package, Variant
from starfreight.packager.modelfile.commands import Command, Modelfile
from starfreight.packager.modelfile.write import writable
from starfreight.strict_json import strict_loads

ReadBlob = Callable[[Descriptor], bytes]
"""Reads a small blob of a package, such as :meth:`ImageLayout.read`."""


def modelfile_of(
    package: Package, variant: Variant, gguf_name: str, adapter_name: str | None, read: ReadBlob
) -> Modelfile:
    """The Modelfile of a variant.

    Args:
        package: its record.
        variant: the variant.
        gguf_name: name of its GGUF file beside the Modelfile.
        adapter_name: name of the LoRA file beside it; ``None`` without one.
        read: reads the package's texts.

    Raises:
        GateError: the package's parameters are damaged.
        InputError: a name is not that of a file.
    """
    assert variant in package.variants
    return modelfile_of_parts(
        gguf_name,
        adapter_name,
        template=package.template,
        system=package.system,
        settings=package.settings,
        licenses=package.licenses,
        read=read,
    )


def modelfile_of_parts(
    gguf_name: str,
    adapter_name: str | None,
    *,
    template: Descriptor | None,
    system: Descriptor | None,
    settings: Descriptor | None,
    licenses: Sequence[LicenseFile],
    read: ReadBlob,
) -> Modelfile:
    """The Modelfile of a model's parts; see :func:`modelfile_of`."""
    commands = [Command("FROM", f"./{_checked(gguf_name)}")]
    if adapter_name is not None:
        commands.append(Command("ADAPTER", f"./{_checked(adapter_name)}"))
    if template is not None:
        commands.append(Command("TEMPLATE", _text(read(template))))
    if system is not None:
        commands.append(Command("SYSTEM", _text(read(system))))
    if settings is not None:
        commands += _parameters(read(settings))
    commands += [
        Command("LICENSE", license_value(license.name, _text(read(license.text)))) for license in licenses
    ]
    return Modelfile(tuple(commands))


def license_value(name: str, text: str) -> str:
    """The text of a license without control characters such as form feeds, or its name if it cannot be
    written.
    """
    shown = "".join(each for each in text if each.isprintable() or each in "\t\r\n")
    return name if writable(shown) else shown


def _parameters(data: bytes) -> list[Command]:
    try:
        settings = strict_loads(data)
    except ValueError as error:
        raise _damaged() from error
    if not isinstance(settings, dict):
        raise _damaged()
    commands = []
    for name, value in settings.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, bool):
                text = "true" if each else "false"
            elif isinstance(each, (int, float, str)):
                text = str(each)
            else:
                raise _damaged()
            commands.append(Command("PARAMETER", text, name))
    return commands


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _damaged() -> GateError:
    return GateError(
        "The package's parameters are not a JSON object of Ollama's parameters.",
        where="the package's settings",
        fix="build the package again",
    )


def _checked(name: str) -> str:
    if not name or "/" in name or "\\" in name or name.startswith(".") or not name.isprintable():
        raise InputError(f"{name[:80]!r} is not a file name.", where="Modelfile", fix="name a file")
    return name
