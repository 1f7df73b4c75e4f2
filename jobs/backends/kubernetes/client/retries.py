"""urllib3's retries, which say so once when a server does not answer and once when it does again."""

from __future__ import annotations

from typing import Any, Self

import urllib3

from starfreight.console import Console

_LONGEST_PAUSE = 5.0
_FACTOR = 0.25


class TellingRetry(urllib3.Retry):
    """Tries again what is safe to try again, with growing pauses, and tells the user of it."""

    console: Console | None = None
    told: bool = False

    @classmethod
    def patient(cls, seconds: float, console: Console) -> Self:
        """Goes on trying for about so long."""
        pauses, waited = 1, 0.0
        while waited < seconds:
            waited += min(_LONGEST_PAUSE, _FACTOR * 2**pauses)
            pauses += 1
        retry = cls(
            total=pauses,
            backoff_factor=_FACTOR,
            backoff_max=_LONGEST_PAUSE,
            # PATCH is here because ours say what shall be, not what to add; a POST that arrived without an
            # answer may be sent again as well, since the server makes an object of a name only once.
            allowed_methods={"GET", "PATCH", "DELETE", "POST"},
            status_forcelist=(429, 500, 502, 503, 504),
            raise_on_status=False,
        )
        retry.console = console
        return retry

    def new(self, **changes: Any) -> Self:
        """As :meth:`urllib3.Retry.new`, which does not know of the console."""
        made = super().new(**changes)
        made.console, made.told = self.console, self.told
        return made

    def increment(self, *arguments: Any, **options: Any) -> Self:
        """Says it before the second pause: a single lost connection is nothing to talk about.

        A certificate that is not accepted does not get better by waiting.
        """
        error = options.get("error")
        if isinstance(error, urllib3.exceptions.SSLError) and "CERTIFICATE" in str(error):
            raise error
        made = super().increment(*arguments, **options)
        if not made.told and len(made.history) == 3 and made.console is not None:
            made.told = True
            made.console.note("The API server does not answer; trying again.")
        return made
