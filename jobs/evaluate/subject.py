"""The model to evaluate, as a user names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Baseline = Literal["base", "F16"]
"""A model to compare with: the base model in the same quantization, or the tuned one in 16 bits."""


@dataclass(frozen=True)
class ServerChoice:
    """Options for a model behind a server.

    Attributes:
        model: its name there; ``None`` for the only one.
        api: ``auto``, ``ollama`` or ``openai``.
        fim_tokens: three tokens for servers that take no suffix.
    """

    model: str | None = None
    api: str = "auto"
    fim_tokens: str | None = None


@dataclass(frozen=True)
class Subject:
    """The model to evaluate.

    Attributes:
        target: a package's directory, a packaged run's, a GGUF file, or the address of a server.
        quantization: of the package; its default if ``None``.
        baseline: evaluate ``gguf`` in place of the package's file, with everything packaged beside it.
        gguf: the file of the baseline.
        reference: the model in 16 bits, for suites that compare with it.
        run: the run with the held-out files and the training data; found beside the package if ``None``.
        held_out: a directory of files to cut places from, in place of the run's held-out files.
        server: for an address.
        allow_unsandboxed: run generated code without a sandbox.
    """

    target: str
    quantization: str | None = None
    baseline: Baseline | None = None
    gguf: Path | None = None
    reference: Path | None = None
    run: Path | None = None
    held_out: Path | None = None
    server: ServerChoice = ServerChoice()
    allow_unsandboxed: bool = False
