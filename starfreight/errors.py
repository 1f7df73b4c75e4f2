"""User-facing errors: what happened, where, and what to do next.

An error is raised where it is detected and rendered once, by the front door. Its class determines
the exit code; exit codes are part of the public interface (see ``docs/exit-codes.md``).
"""

from __future__ import annotations

_LONGEST = 6000
"""Characters of each part: an error may quote a file's text, and paths have at most 4,096 bytes."""


class StarfreightError(Exception):
    """Base class of all errors raised on purpose.

    Args:
        what: one sentence: the problem.
        where: the file, key path, tensor, digest or address concerned.
        fix: the user's next step.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        if what.endswith("..") and not what.endswith("..."):
            what = what[:-1]  # It quotes another error at its end, full stop included.
        what = _shortened(what)
        super().__init__(what)
        self.what = what
        self.where = None if where is None else _shortened(where)
        self.fix = None if fix is None else _shortened(fix)

    def __str__(self) -> str:
        """All three parts on one line, for logs."""
        parts = [self.what]
        if self.where:
            parts.append(f"at {self.where}")
        if self.fix:
            parts.append(f"next: {self.fix}")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, str | int | None]:
        """The error for ``--json``."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "next": self.fix,
            "exit_code": self.exit_code,
        }


class RecipeError(StarfreightError):
    """The recipe is invalid."""

    exit_code = 2


class InputError(StarfreightError):
    """A file or directory named by a recipe or command cannot be used."""

    exit_code = 2


class GateError(StarfreightError):
    """A gate refused: digest, license, quality, size or signature."""

    exit_code = 3


class ServiceError(StarfreightError):
    """An outside service failed, after retries: a registry, a hub, a full disk."""

    exit_code = 4


class JobStopped(StarfreightError):
    """A job stopped on request, with its checkpoint written."""

    exit_code = 75


class JobFailed(StarfreightError):
    """A job failed. Its last good checkpoint is kept."""

    exit_code = 1


class GpuFault(StarfreightError):
    """A GPU, its links or its driver failed, not the job. Its last good checkpoint is kept."""

    exit_code = 71


class UnexpectedError(StarfreightError):
    """A bug: an exception that no code expected. See :mod:`starfreight.unexpected`."""

    exit_code = 1


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
