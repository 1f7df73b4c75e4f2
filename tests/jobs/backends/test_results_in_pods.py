"""The entry point with ``run.kubernetes.results``: pods without a volume that outlives them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.jobs.backends.kubernetes.memory_notes import StoreNotes
from starfreight.registry import parse_digest_reference
from starfreight.registry.media_types import OCI_MANIFEST
from starfreight.registry.publishing import PublishingClient
from starfreight.results.address import parse_address, parse_place
from starfreight.results.receive import find_result
from starfreight.results.table import open_store
from starfreight.run import Run

PROGRAM = (
    "import sys, toy_kind; from starfreight.jobs.kinds.table import KINDS; KINDS['toy'] = 'toy_kind:TOY';"
    "from starfreight.jobs.results import sender; sender._INTERVAL = 0.2;"
    "import os, pathlib; from starfreight.jobs.backends.kubernetes import memory_record as memory;"
    "measure = memory.memory_use; group = pathlib.Path(os.environ.get('TEST_CGROUP', '/nowhere'));"
    "memory.memory_use = lambda cgroup: measure(group);"
    "from starfreight.jobs.backends.kubernetes import entrypoint; sys.exit(entrypoint.main(sys.argv[1:]))"
)
"""The entry point with the toy kind in the table, a sender that looks more often, and a test's cgroup."""


class Pod:
    """A pod, whose volume of runs is a directory of its own."""

    def __init__(self, kind: str, recipe: Path, volume: Path, *more: str) -> None:
        self.volume = volume
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, kind, str(recipe), "--folder", str(recipe.parent),
             "--runs", str(volume), "--name", "coder", *more],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "plugins")},
            stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self.events: list[Mapping[str, Any]] = []

    def until(self, word: str, count: int = 1) -> None:
        """Reads events until ``count`` of them have a word in their text."""
        for event in self._read():
            count -= word in str(event.get("text"))
            if count == 0:
                return
        raise AssertionError(f"no {word!r} in {self.events}")

    def end(self) -> int:
        """Reads to the end; the exit code."""
        list(self._read())
        return self.process.wait(60)

    def kill(self) -> None:
        """The node is lost, and with it the volume."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.volume)

    def _read(self) -> Iterator[Mapping[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"event"'):
                self.events.append(json.loads(line))
                yield self.events[-1]

    def texts(self) -> str:
        return "\n".join(str(event.get("text") or event.get("what")) for event in self.events)


@pytest.fixture
def start_pod(tmp_path: Path) -> Iterator[Callable[..., Pod]]:
    """Starts a pod with an empty volume."""
    pods: list[Pod] = []

    def start(kind: str, recipe: Path, *more: str, volume: Path | None = None) -> Pod:
        pods.append(Pod(kind, recipe, volume or tmp_path / f"volume-{len(pods)}", *more))
        return pods[-1]

    yield start
    for pod in pods:
        with contextlib.suppress(ProcessLookupError):
            pod.process.kill()


@pytest.fixture(params=["oci", "s3"])
def address(request: pytest.FixtureRequest, plain_environment: None, tmp_path: Path) -> str:
    """A store of its own for each test."""
    if request.param == "oci":
        name = tmp_path.name.replace("_", "-").lower()
        return f"oci://{request.getfixturevalue('registry').host}/team/{name}"
    return str(request.getfixturevalue("bucket").address)


def with_results(recipe: Path, address: str, **more: Any) -> Path:
    """Adds results to a recipe."""
    import yaml

    data = yaml.safe_load(recipe.read_text())
    data["run"] = {**data.get("run", {}), "kubernetes": {"results": address, **more}}
    recipe.write_text(json.dumps(data))
    return recipe


def test_a_new_pod_goes_on_where_a_lost_one_was(
    toy_kind: Any, toy_recipe: Path, start_pod: Callable[..., Pod], address: str, tmp_path: Path
) -> None:
    recipe = with_results(toy_recipe, address)
    first = start_pod("toy", recipe)
    first.until("Sent the run")
    first.kill()
    second = start_pod("toy", recipe)
    assert second.end() == 0
    assert f"Taking the run count-toy from {address}" in second.texts()
    (plan,) = (event for event in second.events if event["event"] == "plan" and not event.get("aside"))
    assert 0 < plan["done"] < 100
    record = json.loads((second.volume / "count-toy/toy.json").read_text())
    assert (record["status"], record["sum"]) == ("done", 5050)
    # A third pod, e.g. after a failure of a later step, finds everything done.
    third = start_pod("toy", recipe)
    assert third.end() == 0
    assert not [event for event in third.events if event["event"] == "advance"]
    assert main(["jobs", "fetch", f"{address}:coder", "--runs", str(tmp_path / "here")]) == 0
    fetched = json.loads((tmp_path / "here/count-toy/toy.json").read_text())
    assert fetched["sum"] == 5050
    assert (
        "Taking the run" in (tmp_path / "here/count-toy/job.log").read_text() or fetched["status"] == "done"
    )
    assert not list(second.volume.glob(".partial-*"))


def test_a_stopped_pod_sends_its_last_checkpoint(
    toy_kind: Any, toy_recipe: Path, start_pod: Callable[..., Pod], address: str
) -> None:
    recipe = with_results(toy_recipe, address, results_at="end")
    pod = start_pod("toy", recipe)
    pod.until("sum", 10)
    pod.process.send_signal(signal.SIGTERM)
    assert pod.end() == 75
    assert pod.texts().count("Sent the run") == 1
    shutil.rmtree(pod.volume)
    second = start_pod("toy", recipe)
    assert second.end() == 0
    (plan,) = (event for event in second.events if event["event"] == "plan" and not event.get("aside"))
    assert plan["done"] >= 10


def test_a_store_that_fails_at_a_checkpoint_fails_the_job_only_at_its_end(
    toy_kind: Any, toy_recipe: Path, start_pod: Callable[..., Pod], free_port: Callable[[], int],
    start_registry: Callable[..., Any], plain_environment: None,
) -> None:  # fmt: skip
    server = start_registry()
    recipe = with_results(toy_recipe, f"oci://{server.host}/team/runs")
    pod = start_pod("toy", recipe)
    pod.until("Sent the run")
    blobs = server.storage / "docker/registry/v2/repositories/team"
    shutil.rmtree(blobs)
    blobs.write_text("The disk of the registry is broken.")
    pod.until("Warning: the checkpoint was not sent")
    assert pod.process.poll() is None  # The job goes on.
    assert pod.end() == 4
    (error,) = (event for event in pod.events if event["event"] == "error")
    assert error["kind"] == "ServiceError"
    assert error["what"].startswith("The job is done, but its run cannot be sent")
    # The pod is retried on the same node, or elsewhere: with the store back, nothing is counted again.
    blobs.unlink()
    again = start_pod("toy", recipe, volume=pod.volume)
    assert again.end() == 0
    assert not [event for event in again.events if event["event"] == "advance"]


def test_a_store_that_may_not_be_written_is_an_error_before_the_job_begins(
    toy_kind: Any, toy_recipe: Path, start_pod: Callable[..., Pod], locked_registry: Any,
    plain_environment: None, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(locked_registry.certificate))
    pod = start_pod("toy", with_results(toy_recipe, f"oci://{locked_registry.host}/team/runs"))
    assert pod.end() == 4
    assert [event for event in pod.events if event["event"] == "error"]
    assert not [event for event in pod.events if event["event"] == "advance"]


def test_a_pod_after_one_that_ran_out_of_memory_says_so_though_the_volume_is_lost(
    toy_kind: Any, toy_recipe: Path, start_pod: Callable[..., Pod], address: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    group = tmp_path / "cgroup"
    group.mkdir()
    monkeypatch.setenv("TEST_CGROUP", str(group))

    def use(gigabytes: float) -> None:
        (group / "memory.max").write_text(str(8 << 30))
        (group / "memory.stat").write_text("inactive_file 0\n")
        (group / "memory.current").write_text(str(int(gigabytes * (1 << 30))))

    def noted() -> bool:
        return StoreNotes(parse_place(address), "coder").find() is not None

    recipe = with_results(toy_recipe, address)
    use(7.0)
    lost = start_pod("toy", recipe)
    lost.until("sum", 20)
    lost.kill()
    assert not noted()  # 7 of 8 GB is not the reason.
    use(7.9)
    killed = start_pod("toy", recipe)
    end = time.monotonic() + 30
    while not noted():
        assert killed.process.poll() is None
        assert time.monotonic() < end
    killed.kill()
    use(1.0)
    refused = start_pod("toy", recipe)
    assert refused.end() == 2
    assert "ran out of memory" in refused.texts()
    use(7.9)
    again = start_pod("toy", recipe)  # On request it is tried again.
    assert again.end() == 0
    assert not noted()


def test_a_run_that_failed_is_sent_too_and_keeps_its_exit_code(
    toy_kind: Any, toy_recipe: Path, start_pod: Callable[..., Pod], address: str
) -> None:
    (toy_recipe.parent / "numbers.txt").write_text("1\n2\nthree\n")
    pod = start_pod("toy", with_results(toy_recipe, address))
    assert pod.end() == 1
    index = find_result(open_store(parse_place(address)), parse_address(f"{address}:coder"))
    assert {"toy.json", "job.log"} <= {file.path for file in index.files}


def test_a_lost_pod_changes_no_bit_of_the_adapter(
    write_job: Callable[..., Path], start_pod: Callable[..., Pod], registry: Any, plain_environment: None,
    adapter_digest: Callable[[Path], str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    training = {"steps": 40, "checkpoint_every": 5, "evaluate_every": 20, "evaluation_completions": 1}
    address = f"oci://{registry.host}/team/adapters"
    recipe = with_results(write_job(training=training), address)
    undisturbed = start_pod("train", recipe)
    undisturbed.until("Sent the run")
    client = PublishingClient(parse_digest_reference(f"{registry.host}/team/adapters@{'sha256:' + '0' * 64}"),
                              insecure=True)  # fmt: skip
    checkpoint = client.get_manifest("coder", OCI_MANIFEST)
    assert checkpoint is not None
    assert undisturbed.end() == 0
    (run,) = undisturbed.volume.glob("tiny-*")
    # As if this pod and its volume had been lost after its first checkpoint.
    for name in ("coder", run.name):
        client.put_manifest(name, OCI_MANIFEST, checkpoint)
    second = start_pod("train", recipe)
    assert second.end() == 0
    (plan,) = (event for event in second.events if event["event"] == "plan" and not event.get("aside"))
    assert 5 <= plan["done"] < 40
    resumed = second.volume / run.name
    assert adapter_digest(resumed) == adapter_digest(run)
    # On the submitter's machine, by the id of the run: without checkpoints.
    assert main(["jobs", "fetch", f"{address}:{run.name}", "--runs", str(tmp_path / "here"), "--json"]) == 0
    here = Path(json.loads(capsys.readouterr().out)["run"])
    assert adapter_digest(here) == adapter_digest(run)
    assert not (here / "checkpoints").exists()
    assert not (here / "inputs.json").exists()
    assert Run.load(here).is_done(here)
    assert '"event": "step"' in (here / "job.log").read_text()
