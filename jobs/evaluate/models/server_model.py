"""The common part of models behind a server: connections, and a worker for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

from starfreight.jobs.evaluate.models.interface import Completion, Request
from starfreight.jobs.evaluate.models.server_client import ServerClient
from starfreight.jobs.evaluate.models.workers import Worker, share_out


class ServerModel:
    """A model behind a server. Subclasses open the connections and make the workers."""

    _clients: list[ServerClient]
    _workers: Sequence[Worker]

    @property
    def repositories(self) -> bool:
        """False: a server gets the text around the place alone."""
        return False

    @property
    def slots(self) -> int:
        """Requests at the same time."""
        return len(self._clients)

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """Completes prompts; see :class:`Model`. Most servers batch, so neighbours may change floats."""
        return share_out(requests, self._workers)

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            client.close()

    def __enter__(self) -> Self:
        """The model itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        self.close()
