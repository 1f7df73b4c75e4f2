"""The refusal of a request, with its HTTP status."""

from __future__ import annotations

from starfreight.errors import GateError


class AccessRefused(GateError):
    """A request without the right to what it asks for.

    Args:
        what: the reason; safe to show to the client.
        status: 401 if another sign-in may help, 403 if it will not.
        who: name of the key, as far as it is known; for the audit log.
    """

    def __init__(self, what: str, *, status: int = 401, who: str | None = None) -> None:
        super().__init__(what)
        self.status = status
        self.who = who
