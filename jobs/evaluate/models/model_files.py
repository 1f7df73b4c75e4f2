"""Everything that is packaged beside a model's weights: its parameters, template and system prompt.

files = ModelFiles.of(find_model(Path("packages/acme-coder")))
files.save(job / "model")
ModelFiles.load(job / "model") == files
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from starfreight.completion.model_source import ModelSource
from starfreight.errors import InputError
from starfreight.files import read_limited, write_bytes
from starfreight.records import Record

_RECORD, _TEMPLATE, _SYSTEM = "model.json", "template.txt", "system.txt"
_LIMIT = 1 << 20


class _ModelRecord(Record):
    version: Literal[1] = 1
    name: str
    settings: dict[str, Any]
    formats: tuple[str, ...] = Field(default=(), max_length=64)
    template: bool
    """True if there is a file with it, which may be empty."""
    system: bool


@dataclass(frozen=True)
class ModelFiles:
    """A model without its weights.

    Attributes:
        name: of the package, or of the file.
        settings: Ollama's parameters, as packaged.
        template: Ollama's template, as packaged; ``None`` for a file without a package.
        system: the packaged system prompt.
        formats: formats of the training data; empty if unknown.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    system: str | None = None
    formats: frozenset[str] = frozenset()

    @classmethod
    def of(cls, source: ModelSource) -> Self:
        """Those of a model on this machine."""
        return cls(source.name, dict(source.settings), source.template, source.system, source.formats)

    def save(self, directory: Path) -> None:
        """Writes them into a directory, which exists."""
        for name, text in ((_TEMPLATE, self.template), (_SYSTEM, self.system)):
            if text is not None:
                write_bytes(directory / name, text.encode("utf-8", "replace"))
        record = _ModelRecord(
            name=self.name,
            settings=dict(self.settings),
            formats=tuple(sorted(self.formats)),
            template=self.template is not None,
            system=self.system is not None,
        )
        record.write(directory / _RECORD)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Reads them from a directory.

        Raises:
            InputError: missing, or damaged.
        """
        record = _ModelRecord.read(
            directory / _RECORD, newest=1, limit=_LIMIT, kind="description of the model"
        )

        def text(name: str, kind: str, there: bool) -> str | None:
            if not there:
                return None
            path = directory / name
            try:
                return read_limited(path, _LIMIT, kind).decode()
            except UnicodeDecodeError as error:
                raise InputError(
                    f"The {kind} is not UTF-8 text.", where=str(path), fix="start the evaluation again"
                ) from error

        return cls(
            record.name,
            record.settings,
            text(_TEMPLATE, "template", record.template),
            text(_SYSTEM, "system prompt", record.system),
            frozenset(record.formats),
        )


@dataclass(frozen=True)
class LocalTarget:
    """A model on this machine.

    Attributes:
        gguf: its file.
        adapter: a LoRA file beside it; ``None`` without one.
        files: the rest of its package.
    """

    gguf: Path
    adapter: Path | None
    files: ModelFiles

    @property
    def source(self) -> ModelSource:
        """The same for :mod:`starfreight.completion`."""
        files = self.files
        return ModelSource(
            files.name, self.gguf, self.adapter, files.settings, files.template, files.system, files.formats
        )
