"""The files that clients download: quantizations, their sizes and their formats."""

from __future__ import annotations

from typing import Any

from starfreight.console import human_count, printable
from starfreight.package import Descriptor
from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.diff.values import changed_values, shown, value_line


class FilesPart:
    """Quantizations, sizes, formats, the default, and the adapter."""

    name = "files"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        found = changed_values(_files(before), _files(after))
        if not found:
            return None
        return Section(tuple(_line(name, change) for name, change in found.items()), found)


def _files(side: Side) -> dict[str, Any]:
    package = side.package
    files: dict[str, Any] = {"default": str(package.default)}
    for variant in package.variants:
        files[str(variant.quantization)] = _file(variant.gguf)
    files["formats"] = [each.format for each in package.variants[0].manifests]
    if package.adapter is not None:
        files["LoRA"] = _file(package.adapter)
    return files


def _file(descriptor: Descriptor) -> dict[str, Any]:
    return {"digest": descriptor.digest, "size": descriptor.size}


def _line(name: str, change: dict[str, Any]) -> str:
    if not all(isinstance(each, dict) for each in change.values()):
        return value_line(name, change)
    sizes = {side: human_count(value["size"], "B") for side, value in change.items()}
    if len(sizes) == 2:
        grown = change["after"]["size"] - change["before"]["size"]
        size = sizes["before"] if not grown else f"{sizes['before']} -> {sizes['after']}, {grown:+,} bytes"
        return printable(f"{name}: other bytes ({size})")
    return printable(
        f"{name}: {shown(next(iter(sizes.values())))} ({'new' if 'after' in sizes else 'removed'})"
    )
