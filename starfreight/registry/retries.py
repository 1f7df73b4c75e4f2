"""Retries of requests to a registry: urllib3's ``Retry``, with every form of ``Retry-After``.

urllib3 raises an exception over a fraction, a word, or a date after the year 9999.
"""

from __future__ import annotations

import datetime
import email.utils
import re
import time
from typing import Any

from urllib3.util.retry import Retry

from starfreight.console import Console, time_in_words

MAX_WAIT = 60
"""Seconds; a registry requesting a longer wait is asked again sooner, and given up on."""

_TOLD = 3.0
"""Seconds; longer waits are told to the user."""
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Seconds that a ``Retry-After`` requests; ``None`` if there is none or it means nothing.

    Read are seconds, fractions and the three forms of dates in HTTP. A year after 9999 means nothing.

    Args:
        value: the header.
        now: seconds since 1970.
    """
    text = (value or "").strip()
    if _NUMBER.fullmatch(text):
        return max(0.0, float(text))
    try:
        moment = email.utils.parsedate_to_datetime(text[:100])
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return max(0.0, moment.timestamp() - (time.time() if now is None else now))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def asked_to_wait(value: str | None) -> str | None:
    """A requested wait beyond :data:`MAX_WAIT` in words; ``None`` for less."""
    seconds = retry_after(value)
    if seconds is None or seconds <= MAX_WAIT:
        return None
    return time_in_words(seconds) if seconds < 366 * 86_400 else "more than a year"


class PatientRetry(Retry):
    """Retry policy that waits as a registry requests, within bounds, and prints the wait."""

    def get_retry_after(self, response: Any) -> float | None:
        """Seconds to wait; ``None`` for the usual backoff."""
        seconds = retry_after(response.headers.get("Retry-After"))
        return None if seconds is None else min(seconds, self.retry_after_max)

    def sleep_for_retry(self, response: Any) -> bool:
        """Wait if the answer requests it; returns False if it does not."""
        seconds = self.get_retry_after(response)
        if seconds is not None and seconds >= _TOLD:
            Console().note(
                f"The registry is busy ({response.status}); trying again in {time_in_words(seconds)}."
            )
        return bool(super().sleep_for_retry(response))
