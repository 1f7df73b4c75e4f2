"""Every error that a user can meet: what happened, where, and what to do next.

An error is raised where it is noticed and rendered once, by the front door. Its class decides
the exit code, and the exit codes are part of the public interface (see ``docs/exit-codes.md``).
"""

from __future__ import annotations


class StarfreightError(Exception):
    """The base of all errors that Starfreight raises on purpose.

    Args:
        what: one sentence that says what happened.
        where: the file, key path, tensor, digest or address it happened at.
        fix: what the user can do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        if what.endswith("..") and not what.endswith("..."):
            what = what[:-1]  # It ends with the words of another error, which had a full stop already.
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """All three parts on one line, for logs."""
        parts = [self.what]
        if self.where:
            parts.append(f"at {self.where}")
        if self.fix:
            parts.append(f"next: {self.fix}")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, str | int | None]:
        """The error as ``--json`` prints it."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "next": self.fix,
            "exit_code": self.exit_code,
        }


class RecipeError(StarfreightError):
    """The recipe cannot be used as it is written."""

    exit_code = 2


class InputError(StarfreightError):
    """A file or folder that a recipe or a command names cannot be used."""

    exit_code = 2


class GateError(StarfreightError):
    """A check refused to let something through: digest, license, quality, size or signature."""

    exit_code = 3


class ServiceError(StarfreightError):
    """Something outside failed, after retries: a registry, a hub, a full disk."""

    exit_code = 4


class JobStopped(StarfreightError):
    """A job stopped because it was asked to, with its checkpoint written."""

    exit_code = 75


class JobFailed(StarfreightError):
    """A job ended by a fault of its own. Its last good checkpoint is kept."""

    exit_code = 1
