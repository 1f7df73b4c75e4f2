"""The result of training a package again: its steps, each compared with the recorded one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starfreight.packager.provenance.rebuild.rebuild_package import Rebuilt
    from starfreight.packager.provenance.rebuild.tool_versions import OtherVersion


@dataclass(frozen=True)
class Step:
    """A step before the press.

    Attributes:
        name: of its result.
        recorded: digest in the statement.
        found: digest here.
        same: true if the results are the same.
        lines: the difference, for people.
        data: the difference, for ``--json``.
    """

    name: str
    recorded: str | None
    found: str | None
    same: bool
    lines: tuple[str, ...] = ()
    data: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "identical": self.same,
            "recorded": self.recorded,
            "found": self.found,
            "difference": dict(self.data) if self.data else None,
        }


@dataclass(frozen=True)
class Repeated:
    """The result.

    Attributes:
        where: the package as the user named it.
        steps: in their order, up to the first one that differs.
        rebuilt: result of the press; ``None`` if an earlier step differs.
        versions: tools of another version than the recorded one.
        out: directory of the run and the files, if they are kept.
    """

    where: str
    steps: tuple[Step, ...]
    rebuilt: Rebuilt | None
    versions: tuple[OtherVersion, ...]
    out: Path | None

    @property
    def is_identical(self) -> bool:
        """True if all steps and all files are the same."""
        return (
            all(step.same for step in self.steps) and self.rebuilt is not None and self.rebuilt.is_identical
        )

    @property
    def first_difference(self) -> str | None:
        """The first step that differs."""
        step = next((step.name for step in self.steps if not step.same), None)
        return step or (None if self.is_identical else "GGUF files")

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "package": self.where,
            "identical": self.is_identical,
            "first_difference": self.first_difference,
            "steps": [step.as_dict() for step in self.steps],
            "files": [each.as_dict() for each in self.rebuilt.files] if self.rebuilt else [],
            "other_versions": [
                {"name": each.name, "recorded": each.recorded, "installed": each.installed}
                for each in self.versions
            ],
            "out": str(self.out) if self.out else None,
        }

    def as_lines(self) -> list[str]:
        """For people."""
        if self.is_identical:
            lines = [f"{self.where}: the raw data give the published bytes."]
        else:
            lines = [
                f"{self.where}: not the published bytes. First step that differs: {self.first_difference}."
            ]
        width = max(len(step.name) for step in self.steps)
        for step in self.steps:
            verdict = "bit-identical" if step.same and step.recorded == step.found else "same texts"
            lines.append(f"  {step.name:{width}}  {verdict if step.same else 'DIFFERS':13}  {step.recorded}")
            if step.found != step.recorded:
                lines.append(f"    here {step.found}")
            lines += [f"    {line}" for line in step.lines]
        if self.rebuilt is not None:
            lines += self.rebuilt.as_lines()
        elif self.versions:
            lines.append(f"Likely cause: other versions of tools ({'; '.join(map(str, self.versions))}).")
        return lines
