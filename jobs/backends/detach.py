"""The option ``--detach`` for jobs of this machine."""

from __future__ import annotations

from starfreight.errors import RecipeError


def check_detach(variants: int, where: str, *, outlives_command: bool) -> None:
    """Refuse to detach from jobs that need their command.

    Args:
        variants: number of jobs.
        where: name of the backend.
        outlives_command: true if a job of the backend goes on without the command that started it.

    Raises:
        RecipeError: there are several jobs, or they end with their command.
    """
    if variants > 1:
        raise RecipeError(
            f"The recipe's sweep has {variants} variants, which this command runs one after another.",
            where="option --detach",
            fix="leave --detach out, or run the command under nohup, tmux or systemd-run",
        )
    if not outlives_command:
        raise RecipeError(
            f"A job on {where!r} ends with the command that started it.",
            where="option --detach",
            fix="add --on docker, or run the command under nohup, tmux or systemd-run",
        )
