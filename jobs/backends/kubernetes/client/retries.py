"""Retries of requests, with a note to the user if the server does not answer."""

from __future__ import annotations

from typing import Any, Self

import urllib3

from starfreight.console import Console

_LONGEST_PAUSE = 5.0
_FACTOR = 0.25


class NotifyingRetry(urllib3.Retry):
    """Retries safe requests with growing pauses, and notifies the user once."""

    console: Console | None = None
    notified: bool = False

    @classmethod
    def for_seconds(cls, seconds: float, console: Console) -> Self:
        """Retries for about this time."""
        pauses, waited = 1, 0.0
        while waited < seconds:
            waited += min(_LONGEST_PAUSE, _FACTOR * 2**pauses)
            pauses += 1
        retry = cls(
            total=pauses,
            backoff_factor=_FACTOR,
            backoff_max=_LONGEST_PAUSE,
            # Our PATCHes set values, so repeating one changes nothing. A POST whose answer was lost may be
            # repeated as well, because a name can be taken only once.
            allowed_methods={"GET", "PATCH", "DELETE", "POST"},
            status_forcelist=(429, 500, 502, 503, 504),
            raise_on_status=False,
        )
        retry.console = console
        return retry

    def new(self, **changes: Any) -> Self:
        """As :meth:`urllib3.Retry.new`, and keeps the attributes of this class."""
        made = super().new(**changes)
        made.console, made.notified = self.console, self.notified
        return made

    def increment(self, *arguments: Any, **options: Any) -> Self:
        """Notifies the user before the second pause: a single lost connection is not worth a note.

        A rejected certificate is raised at once: waiting does not help.
        """
        error = options.get("error")
        if isinstance(error, urllib3.exceptions.SSLError) and "CERTIFICATE" in str(error):
            raise error
        made = super().increment(*arguments, **options)
        if not made.notified and len(made.history) == 3 and made.console is not None:
            made.notified = True
            made.console.note("The API server does not answer; retrying.")
        return made
