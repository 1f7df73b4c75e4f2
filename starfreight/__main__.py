"""``python -m starfreight``."""

from starfreight.cli import entry

entry()
