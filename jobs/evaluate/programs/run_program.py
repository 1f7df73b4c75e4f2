"""Runs a generated program with its tests, and judges it from outside."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from starfreight.jobs.evaluate.programs.languages import Language
from starfreight.jobs.evaluate.programs.toolchain import Toolchain
from starfreight.jobs.evaluate.sandbox.interface import Sandbox
from starfreight.jobs.evaluate.sandbox.program_box import ProgramBoxes, Ran

_COMPILE_SECONDS = 60.0
_MOST_DETAIL = 4000
_TRIAL_SECONDS = 30.0
"""A busy machine is no reason to leave a language out."""


@dataclass(frozen=True)
class ProgramVerdict:
    """Outcome of a program with its tests.

    Attributes:
        passed: True if every test passed.
        reason: ``passed``, ``compile``, ``failed`` (ended with another status than 0), ``exited`` (with 0,
            but before the end of the tests), ``forged`` (passes a test that must fail), or the limit that
            ended it: ``time``, ``memory``, ``output`` and others of a box; ``killed`` with its parent.
        detail: the end of its errors, or of the compiler's; untrusted.
        seconds: wall-clock time, without the compiler's.
    """

    passed: bool
    reason: str
    detail: str
    seconds: float


class ProgramTests:
    """Tests programs of one language, each in fresh boxes. For one thread.

    Args:
        sandbox: makes the boxes.
        language: of the programs.
        toolchain: of the language.
        seconds: wall-clock time of a program; compilers have a minute.
    """

    def __init__(
        self, sandbox: Sandbox, language: Language, toolchain: Toolchain, *, seconds: float = 10.0
    ) -> None:
        self._language, self._toolchain, self._seconds = language, toolchain, seconds
        limits = replace(language.limits, cpu=max(language.limits.cpu, math.ceil(seconds)))
        self._boxes = ProgramBoxes(sandbox, limits, toolchain.visible)

    def run(self, program: str, tests: str, *, seconds: float | None = None) -> ProgramVerdict:
        """Tests a program.

        Args:
            program: source up to the tests, generated.
            tests: source that ends the program with another status than 0 if a value is wrong.
            seconds: another wall-clock time.

        Raises:
            ServiceError: no box can be started.
        """
        source = self._language.whole(program, tests).encode("utf-8", "replace")
        files: Mapping[str, bytes] = {
            self._language.source: source,
            **{name: text.encode() for name, text in self._language.support},
        }
        if self._language.compile:
            built = self._boxes.run(
                self._command(self._language.compile), files, seconds=_COMPILE_SECONDS, keep=True
            )
            if built.ended != "exited" or built.status != 0:
                return ProgramVerdict(False, "compile", built.errors or built.output[-_MOST_DETAIL:], 0.0)
            # Not the source: the program cannot read its tests in there.
            files = {name: data for name, data in built.files.items() if name not in files}
        begin = time.monotonic()
        ran, passed = self._once(files, seconds, equal=True)
        took = time.monotonic() - begin
        if not passed:
            return ProgramVerdict(False, _reason(ran), ran.errors, took)
        if self._once(files, seconds, equal=False)[1]:
            return ProgramVerdict(False, "forged", "", took)
        return ProgramVerdict(True, "passed", "", took)

    def works(self) -> bool:
        """True if the language's trial passes, and fails with a test that it must fail."""
        program, tests = self._language.trial
        return self.run(program, tests, seconds=max(self._seconds, _TRIAL_SECONDS)).passed

    def close(self) -> None:
        """Ends all boxes."""
        self._boxes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _once(self, files: Mapping[str, bytes], seconds: float | None, *, equal: bool) -> tuple[Ran, bool]:
        """Runs the program with a last test that it must pass, or must not."""
        secret, one, two = (secrets.token_hex(16) for _ in range(3))
        lines = (secret, one, one if equal else two)
        ran = self._boxes.run(
            self._command(self._language.run),
            files,
            input="\n".join(lines) + "\n",
            seconds=self._seconds if seconds is None else seconds,
        )
        return ran, ran.status == 0 and secret in ran.output.split("\n")

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [word.format(*self._toolchain.tools) if "{" in word else word for word in words]


def _reason(ran: Ran) -> str:
    if ran.ended != "exited":
        return ran.ended
    return "exited" if ran.status == 0 else "failed"
