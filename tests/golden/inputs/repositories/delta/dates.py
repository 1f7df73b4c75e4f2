from datetime import timedelta


def weekdays(start, count):
    """The next days that are no weekend."""
    day = start
    while count:
        if day.weekday() < 5:
            yield day
            count -= 1
        day += timedelta(days=1)
