"""A console that names the variant of a sweep in its progress."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from starfreight.console import Advance, Console


class LabelledConsole(Console):
    """Shows everything on another console, with a label before the text of each bar.

    Args:
        console: the other console.
        label: e.g. ``acme-rank16 (2 of 3)``.
    """

    def __init__(self, console: Console, label: str) -> None:
        super().__init__(json_output=console.json_output, quiet=console.quiet)
        self._console, self._label = console, label

    @property
    def interactive(self) -> bool:
        """True if the other console is."""
        return self._console.interactive

    def note(self, text: str) -> None:
        """Print a status message."""
        self._console.note(text)

    def heading(self, text: str) -> None:
        """Announce the next step."""
        self._console.heading(f"{self._label}: {text}")

    @contextlib.contextmanager
    def progress(
        self, what: str, *, total: float | None, unit: str = "", done: float = 0
    ) -> Iterator[Advance]:
        """Show progress: see :meth:`Console.progress`."""
        with self._console.progress(f"{self._label}: {what}", total=total, unit=unit, done=done) as advance:

            def labelled(amount: float, what: str | None = None) -> None:
                advance(amount, f"{self._label}: {what}" if what else None)

            yield labelled


def for_variant(console: Console, name: str, number: int, count: int) -> Console:
    """The console for a variant of a sweep; of a single recipe the console itself.

    Args:
        console: for all variants.
        name: of the variant.
        number: of the variant, from 0.
        count: number of variants.
    """
    return console if count == 1 else LabelledConsole(console, f"{name} ({number + 1} of {count})")
