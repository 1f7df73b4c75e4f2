"""A console for programs whose output is events."""

from __future__ import annotations

from starfreight.console import Console
from starfreight.jobs.protocol import events


class EventConsole(Console):
    """Sends notes and headings as events."""

    @property
    def interactive(self) -> bool:
        """False: the output goes to a log."""
        return False

    def note(self, text: str) -> None:
        """A ``note`` event."""
        events.send("note", text=text)

    def heading(self, text: str) -> None:
        """A ``phase`` event."""
        events.send("phase", text=text)
