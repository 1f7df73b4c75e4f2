"""Sends a run to its store while the job runs: after each checkpoint, and at the end.

    sender = Sender(address.place, kind, run, job)
    sender.start()
    code = kind.main([str(run)])
    code = sender.finish(code)

A thread looks for new checkpoints, so the job knows nothing of stores. A failure to send a checkpoint is
noted, and the next one is sent instead; a failure at the start, or at the end of a job that is done, is the
job's failure.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from starfreight.console import human_count
from starfreight.directories import discard
from starfreight.errors import ServiceError, StarfreightError
from starfreight.files import PARTIAL_PREFIX
from starfreight.jobs.kinds.interface import JobKind
from starfreight.jobs.protocol import events
from starfreight.jobs.results.stage import stage, state_of
from starfreight.results.address import Place
from starfreight.results.interface import ResultsStore
from starfreight.results.table import open_store
from starfreight.unexpected import explain_to_job

_INTERVAL = 2.0
"""Seconds between two looks for a new checkpoint."""


class Sender:
    """Sends one run.

    Args:
        place: the address of all results.
        kind: of the job.
        run: the directory of the run.
        job: name of the job, with the number of its variant.
        when: ``checkpoint``, or ``end`` to send nothing before the end.
        interval: seconds between two looks, 2 by default.
    """

    def __init__(
        self,
        place: Place,
        kind: JobKind,
        run: Path,
        job: str,
        when: Literal["checkpoint", "end"] = "checkpoint",
        interval: float | None = None,
    ) -> None:
        self._place, self._kind, self._run, self._job = place, kind, run, job
        self._interval = _INTERVAL if interval is None else interval
        self._store: ResultsStore | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True) if when == "checkpoint" else None
        self._seen = state_of(kind, run)
        self._last_digest = ""

    def start(self) -> None:
        """Send the prepared run, and start to look for checkpoints.

        Raises:
            StarfreightError: the store refuses or does not answer; better now than after hours of training.
        """
        self._send(note="The run is kept in")
        if self._thread is not None:
            self._thread.start()

    def finish(self, code: int) -> int:
        """Send the run as it is at the end, also that of a stopped or failed job.

        Args:
            code: exit code of the job.

        Returns:
            the same code, or 4 if the job is done but its run cannot be sent.
        """
        self._over.set()
        if self._thread is not None:
            self._thread.join()  # Its upload is of use to the last one, too.
        try:
            self._send_once_more()
        except Exception as error:
            explained = explain_to_job(error)
            if code != 0:
                events.send("note", text=f"The run was not sent to {self._place}: {explained.what}")
                return code
            failed = ServiceError(
                f"The job is done, but its run cannot be sent: {explained.what}",
                where=explained.where or str(self._place),
                fix=explained.fix,
            )
            events.send("error", **failed.as_dict())
            return failed.exit_code
        return code

    def _watch(self) -> None:
        while not self._over.wait(self._interval):
            # The job may be deleting a checkpoint just now.
            with contextlib.suppress(OSError, StarfreightError):
                now = state_of(self._kind, self._run)
                if now == self._seen:
                    continue
                self._try(now)

    def _try(self, now: tuple[tuple[str, int, int], ...]) -> None:
        try:
            self._send()
        except FileNotFoundError:
            return  # The checkpoint was replaced by a newer one: at the next look.
        except Exception as error:
            what = error.what if isinstance(error, StarfreightError) else explain_to_job(error).what
            events.send(
                "note",
                text=f"Warning: the checkpoint was not sent to {self._place}: {what} The job goes on; the "
                "next checkpoint is sent again.",
            )
        self._seen = now

    def _send_once_more(self) -> None:
        had_store = self._store is not None
        try:
            self._send()
        except ServiceError:
            if not had_store:
                raise
            self._send()  # With new credentials: those of an identity expire while the job runs.

    def _send(self, note: str = "Sent the run to") -> None:
        """Send the run as it is now.

        Raises:
            FileNotFoundError: a file was deleted meanwhile.
            StarfreightError: the store refuses or does not answer.
        """
        with self._staging() as folder:
            index = stage(self._kind, self._run, self._job, folder)
            if index.digest == self._last_digest:
                return
            if self._store is None:
                self._store = open_store(self._place, write=True)
            try:
                # The run first: a job's name never leads to a newer result than the run's id.
                self._store.put(index, folder, [self._run.name, self._job], _ignore)
            except BaseException:
                self._store = None  # The next attempt reads the credentials again.
                raise
            self._last_digest = index.digest
        events.send("note", text=f"{note} {self._place}: {human_count(index.size, 'B')}")

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Path]:
        """An empty directory on the volume of the runs; one of a killed pod is deleted."""
        runs = self._run.parent
        folder = runs / f"{PARTIAL_PREFIX}results-{self._job}"
        discard(folder, below=runs)
        folder.mkdir()
        try:
            yield folder
        finally:
            discard(folder, below=runs)


def _ignore(amount: float, what: str | None = None) -> None:
    """Shows no progress: the job has its own."""
