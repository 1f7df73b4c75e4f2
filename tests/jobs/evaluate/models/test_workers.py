"""Requests shared out among workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.models.interface import Completion, Request
from starfreight.jobs.evaluate.models.workers import share_out


class Echo:
    """Completes with the prefix; fails at ``bad``; waits at ``slow`` until it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def complete(self, request: Request) -> Completion:
        if request.prefix == "slow":
            assert self.cancelled.wait(20)
            raise OSError("cancelled")
        if request.prefix == "bad":
            raise ServiceError("It failed.")
        return Completion(request.prefix, 1, 1, "stop", None, 0.0)

    def cancel(self) -> None:
        self.cancelled.set()


def test_everything_finished_comes_before_the_error() -> None:
    taken = []

    def requests() -> Iterator[Request]:
        for at in range(1000):
            taken.append(at)
            yield Request(str(at), "bad" if at == 20 else str(at))

    done = []
    with pytest.raises(ServiceError):
        for _, completion in share_out(requests(), [Echo(), Echo()]):
            done.append(completion.text)
    assert set(map(str, range(20))) <= set(done) and len(taken) < 1000


def test_an_error_of_the_requests_is_raised_here() -> None:
    def requests() -> Iterator[Request]:
        yield Request("a", "a")
        raise ValueError("no more")

    found = share_out(requests(), [Echo(), Echo()])
    with pytest.raises(ValueError, match="no more"):
        assert [each[1].text for each in found] == ["a"]


def test_closing_cancels_and_waits() -> None:
    before = threading.active_count()
    running = share_out([Request("a", "a"), Request("b", "slow"), Request("c", "slow")], [Echo(), Echo()])
    assert next(running)[0].id == "a"
    running.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_no_requests_are_no_completions() -> None:
    assert list(share_out([], [Echo()])) == []
