"""Dates of payment."""

from datetime import date, timedelta


def due(invoiced: date, days: int = 30) -> date:
    """The day on which an invoice is due, never on a weekend."""
    day = invoiced + timedelta(days=days)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def overdue(invoiced: date, today: date, days: int = 30) -> int:
    """The number of days that a payment is late, 0 if it is not."""
    late = (today - due(invoiced, days)).days
    return max(late, 0)
