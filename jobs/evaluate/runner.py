"""One evaluation from its first suite to its record. Finished work is not repeated on resume."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from starfreight.console import human_count
from starfreight.directories import delete, refuse_links_in
from starfreight.directory_lock import only_one
from starfreight.errors import InputError, JobStopped
from starfreight.evaluation import SCORES_FILE, Evaluation, Scores, SuiteResult
from starfreight.files import disk_errors, read_json, sha256_bytes, write_bytes, write_json
from starfreight.image import image_digest
from starfreight.jobs.evaluate.checked_inputs import SCRATCH_FOLDER, check_inputs
from starfreight.jobs.evaluate.completion_run import run_completions
from starfreight.jobs.evaluate.finished_suites import FINISHED_FOLDER, FinishedSuite
from starfreight.jobs.evaluate.inputs import EvaluationInputs
from starfreight.jobs.evaluate.machine import machine_facts, versions
from starfreight.jobs.evaluate.models.interface import Model
from starfreight.jobs.evaluate.models.model_files import LocalTarget, ModelFiles
from starfreight.jobs.evaluate.models.server_target import ServerTarget
from starfreight.jobs.evaluate.prepare import MODEL_FOLDER
from starfreight.jobs.evaluate.problems import load_problems
from starfreight.jobs.evaluate.progress import shown
from starfreight.jobs.evaluate.recorded_options import recorded_options
from starfreight.jobs.evaluate.sandbox.interface import Limits, Sandbox
from starfreight.jobs.evaluate.store import Store
from starfreight.jobs.evaluate.suites.interface import Machinery, Problem, SkippedSuite
from starfreight.jobs.evaluate.suites.table import suite_named
from starfreight.jobs.protocol import events
from starfreight.jobs.protocol.record import now
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.package_evaluations import UNCONFINED
from starfreight.records import FileDigest

EXAMPLES_FILE = "examples.json"
_FACTS_FILE = "model_facts.json"
_MOST_SHOWN = 6
"""Figures of a suite in the job's log; the result has all of them."""


def run_evaluation(directory: Path, stop: StopRequest, inputs: EvaluationInputs) -> None:
    """Evaluates the model of a prepared job to its end, resuming any earlier attempt.

    Args:
        directory: of the job.
        stop: checked between completions.
        inputs: the model's files, as they are called here.

    Raises:
        JobStopped: a stop was requested; everything made so far is kept.
        StarfreightError: the inputs have changed, or a part of the machinery failed.
    """
    refuse_links_in(directory)
    with only_one(directory, "evaluating"):
        record = Evaluation.load(directory)
        if record.status == "done":
            return
        record = record.model_copy(update={"status": "running", "started": record.started or now()})
        record.save(directory)
        try:
            _Job(directory, record, inputs, stop).run()
        except Exception as error:
            status = "stopped" if isinstance(error, JobStopped) else "failed"
            with contextlib.suppress(Exception):  # The first error counts, e.g. of a full disk.
                failed = {"status": status, "ended": now()}
                Evaluation.load(directory).model_copy(update=failed).save(directory)
            raise


@dataclass
class _Job:
    """An evaluation in progress."""

    directory: Path
    record: Evaluation
    inputs: EvaluationInputs
    stop: StopRequest
    _model: Model | None = None
    _slots: int | None = None
    _sandbox: Sandbox | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Runs all suites, and writes the results."""
        self.stop.limit(self.inputs.options.time_limit)
        check_inputs(self.directory, self.record, self.inputs)
        record, folder = self.record, self.directory
        pending = [each for each in record.results if not each.skipped]
        finished = {each.suite: FinishedSuite.find(folder, each.suite) for each in pending}
        problems = {
            each.suite: load_problems(folder, each.suite, each.source.digest if each.source else "")
            for each in pending
            if finished[each.suite] is None
        }
        for each in pending:
            if finished[each.suite] is None:
                finished[each.suite] = self._unable(each)
        for each in pending:
            if finished[each.suite] is None:
                try:
                    finished[each.suite] = self._run_suite(each, problems[each.suite])
                finally:
                    self._close_model()  # The next suite may need the memory.
        self._write([finished.get(each.suite) or FinishedSuite(result=each) for each in record.results])

    def _unable(self, prepared: SuiteResult) -> FinishedSuite | None:
        """Opens a suite's scorer: without a sandbox or a toolchain, nothing should be generated for it."""
        suite = suite_named(prepared.suite)
        if not hasattr(suite, "open_scorer"):
            return None
        try:
            suite.open_scorer(self._machinery(prepared)).close()
        except SkippedSuite as skipped:
            return self._skip(prepared, skipped)
        return None

    def _run_suite(self, prepared: SuiteResult, problems: list[Problem]) -> FinishedSuite:
        self.stop.check()
        name, began = prepared.suite, time.monotonic()
        suite, machinery = suite_named(name), self._machinery(prepared)
        events.send("phase", text=f"Evaluating {name}")
        try:
            if hasattr(suite, "measure"):
                events.send("plan", steps=len(problems), done=0, text=name, unit="problems")
                measured = suite.measure(problems, machinery)
            else:
                steps = len(problems) * machinery.options.samples
                events.send("plan", steps=steps, done=0, text=name, unit="completions")
                with Store(self.directory, name) as store:
                    measured = run_completions(suite, problems, machinery, store, prepared.contamination)
        except SkippedSuite as skipped:
            return self._skip(prepared, skipped)
        done = FinishedSuite.of(prepared, measured, time.monotonic() - began)
        done.save(self.directory)
        whole = [each for each in done.result.figures if not each.part]
        for figure in whole[:_MOST_SHOWN]:
            events.send("note", text=f"  {name}: {figure.name} {shown(figure)}")
        if len(whole) > _MOST_SHOWN:
            events.send("note", text=f"  {name}: {human_count(len(whole) - _MOST_SHOWN, 'more figures')}")
        return done

    def _skip(self, prepared: SuiteResult, skipped: SkippedSuite) -> FinishedSuite:
        reason = " ".join(str(skipped).split())[:500] or "unknown"
        events.send("note", text=f"{prepared.suite} is skipped: {reason}")
        done = FinishedSuite.skipped(prepared, reason)
        done.save(self.directory)
        return done

    def _machinery(self, prepared: SuiteResult) -> Machinery:
        name = prepared.suite
        scratch = self.directory / SCRATCH_FOLDER / name
        with disk_errors(scratch):
            scratch.mkdir(parents=True, exist_ok=True)
        inputs = self.inputs

        def path(text: str | None) -> Path | None:
            return None if text is None else Path(text)

        return Machinery(
            options=recorded_options(self.record, name),
            model=self._open_model,
            gguf=path(inputs.gguf),
            adapter=path(inputs.adapter),
            reference=path(inputs.reference),
            threads=self._threads,
            sandbox=lambda: self._open_sandbox(name),
            scratch=scratch,
            check=self.stop.check,
            advance=_advance,
            instructs=self._known_instructs(),
        )

    @property
    def _threads(self) -> int:
        return self.inputs.options.threads or len(os.sched_getaffinity(0))

    def _open_model(self, slots: int | None) -> Model:
        from starfreight.jobs.evaluate.models.open_model import open_model

        if self._model is not None and self._slots == slots:
            return self._model
        self._close_model()
        events.send("note", text="Loading the model")
        model = open_model(self._target(), slots=slots, threads=self._threads)
        self._model, self._slots = model, slots
        if slots is None and self._known_instructs() is None:
            write_json(self.directory / SCRATCH_FOLDER / _FACTS_FILE, {"instructs": model.instructs})
        machine = {**machine_facts(), "threads": self._threads, "slots": model.slots}
        machine["model"] = dict(model.settings)
        self.record = self.record.model_copy(update={"machine": machine})
        return model

    def _target(self) -> LocalTarget | ServerTarget:
        if self.inputs.server is not None:
            return ServerTarget.from_json(self.inputs.server)
        if self.inputs.gguf is None:
            raise InputError("The evaluation has no model.", where=str(self.directory), fix="start it again")
        adapter = None if self.inputs.adapter is None else Path(self.inputs.adapter)
        return LocalTarget(Path(self.inputs.gguf), adapter, ModelFiles.load(self.directory / MODEL_FOLDER))

    def _close_model(self) -> None:
        model, self._model = self._model, None
        if model is not None:
            model.close()

    def _known_instructs(self) -> bool | None:
        path = self.directory / SCRATCH_FOLDER / _FACTS_FILE
        if not path.exists():
            return None
        facts = read_json(path, 1 << 16, "facts about the model")
        known = facts.get("instructs") if isinstance(facts, dict) else None
        return known if isinstance(known, bool) else None

    def _open_sandbox(self, suite: str) -> Sandbox:
        from starfreight.jobs.evaluate.sandbox.choose import open_sandbox

        with self._lock:
            if self._sandbox is None:
                seconds = recorded_options(self.record, suite).seconds
                limits = Limits(cpu=max(1, math.ceil(seconds)))
                allowed = self.inputs.allow_unsandboxed
                self._sandbox = open_sandbox(limits, allow_unsandboxed=allowed)
                # Before any code runs, and "none" for good: code of an earlier attempt may have changed its
                # figures. So neither a kill nor a resumption in a sandbox hides it.
                if self.record.sandbox != UNCONFINED:
                    self.record = self.record.model_copy(update={"sandbox": self._sandbox.name})
                    self.record.save(self.directory)
                if self._sandbox.name == UNCONFINED:
                    events.send("note", text="Warning: generated code runs without a sandbox.")
            return self._sandbox

    def _write(self, finished: list[FinishedSuite]) -> None:
        """Writes the results: first the files, then the record that names them."""
        scores = Scores(suites={each.result.suite: each.scores for each in finished if each.scores})
        data = scores.as_bytes()
        write_bytes(self.directory / SCORES_FILE, data, below=self.directory)
        examples = {each.result.suite: list(each.examples) for each in finished if each.examples}
        write_json(self.directory / EXAMPLES_FILE, {"version": 1, "suites": examples}, below=self.directory)
        results = tuple(each.result for each in finished)
        if not any(each.figures for each in results):
            reasons = "; ".join(f"{each.suite}: {each.skipped or 'no figures'}" for each in results)
            raise InputError(
                "No suite could be run with this model.", where=reasons[:2000], fix="name others with --suite"
            )
        done = self.record.model_copy(
            update={
                "status": "done",
                "ended": now(),
                "results": results,
                "versions": versions(),
                "image": image_digest(),
                "scores": FileDigest(path=SCORES_FILE, digest=sha256_bytes(data), size=len(data)),
            }
        )
        done.save(self.directory)
        for name in (SCRATCH_FOLDER, FINISHED_FOLDER):
            delete(self.directory / name, below=self.directory)


def _advance(amount: float, what: str | None = None) -> None:
    events.send("advance", count=int(amount), text=what or "")
