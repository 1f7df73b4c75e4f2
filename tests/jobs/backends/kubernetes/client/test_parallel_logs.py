"""Output of several pods at the same time: nodes and variants."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes_controllers import BATCH, JOB_SETS, PODS

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import GpuFault, JobFailed, ServiceError
from starfreight.jobs.backends.kubernetes.client import container_log, parallel_logs
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.container_log import PodLine
from starfreight.jobs.backends.kubernetes.client.follow import follow
from starfreight.jobs.backends.kubernetes.client.parallel_logs import parallel_lines
from starfreight.jobs.backends.kubernetes.client.targets import JOB, JOB_SET, Target

ROOT = Path(__file__).resolve().parents[5]
ON = ("--on", "kubernetes")
LABELS = {"app.kubernetes.io/name": "starfreight", "dev.starfreight/run": "acme"}
INDEX = "batch.kubernetes.io/job-completion-index"
NODES = Target(JOB_SET, "acme")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the usual pauses."""
    monkeypatch.setattr(parallel_logs, "_PAUSE", 0.1)
    monkeypatch.setattr(container_log, "_PAUSE", 0.02)


@pytest.fixture
def two_nodes(api: Any, controllers: Any) -> list[str]:
    """The pods of a job on two nodes, the second one first: the API lists them by their random names."""
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "train"}]}}
    part = {"name": "node", "replicas": 1, "template": {"spec": {"parallelism": 2, "template": template}}}
    controllers.start(
        f"{JOB_SETS}/acme", metadata={"labels": LABELS}, spec={"replicatedJobs": [part]}, status={}
    )
    pods = sorted(pod["metadata"]["name"] for pod in controllers.of(PODS))
    for number, pod in enumerate(reversed(pods)):
        api.objects[f"{PODS}/{pod}"]["metadata"].setdefault("annotations", {})[INDEX] = str(number)
    return list(reversed(pods))


def finish(api: Any, controllers: Any, pods: list[str], code: int = 0) -> None:
    for pod in pods:
        controllers.end(pod, code)
    kind = "Failed" if code else "Completed"
    api.objects[f"{JOB_SETS}/acme"]["status"] = {"conditions": [{"type": kind, "status": "True"}]}


def later(*steps: Callable[[], object], pause: float = 0.1) -> None:
    """Does something in the background, step by step."""

    def run() -> None:
        for step in steps:
            time.sleep(pause)
            step()

    threading.Thread(target=run, daemon=True).start()


def test_both_nodes_are_heard_while_they_run(
    api: Any, controllers: Any, cluster: Cluster, two_nodes: list[str]
) -> None:
    first, second = two_nodes
    controllers.say(first, "a0")
    lines = parallel_lines(cluster, NODES)
    assert next(lines) == PodLine(first, "train", 0, "a0")
    # The other one, whose pod comes first in the list, has not ended and says nothing yet.
    controllers.say(second, "b0")
    assert next(lines) == PodLine(second, "train", 1, "b0")
    controllers.say(first, "a1")
    assert next(lines).text == "a1"
    finish(api, controllers, two_nodes)
    assert list(lines) == []


def test_each_line_comes_once_and_in_order_though_every_connection_breaks(
    api: Any, controllers: Any, cluster: Cluster, two_nodes: list[str]
) -> None:
    for number, pod in enumerate(two_nodes):
        for second in range(5):
            controllers.say(pod, *(f"{number}.{second}.{line}" for line in range(3)), second=second)
        controllers.cuts[pod] = [0, 4, 9, 2, 14]
    later(lambda: finish(api, controllers, two_nodes), pause=0.5)
    found: dict[int, list[str]] = {0: [], 1: []}
    for line in parallel_lines(cluster, NODES):
        assert line.variant is not None
        found[line.variant].append(line.text)
    for number, texts in found.items():
        assert texts == [f"{number}.{second}.{line}" for second in range(5) for line in range(3)]


def test_a_pod_that_replaces_another_is_heard_too(
    api: Any, controllers: Any, cluster: Cluster, two_nodes: list[str]
) -> None:
    first, second = two_nodes

    def replace() -> None:
        controllers.end(first, 143)
        api.remove(f"{PODS}/{first}")
        controllers.act()
        (new,) = {pod["metadata"]["name"] for pod in controllers.of(PODS)} - {second}
        controllers.say(new, "of the new pod")
        time.sleep(0.3)
        finish(api, controllers, [second, new])

    controllers.say(first, "of the old pod")
    later(replace, pause=0.3)
    assert [line.text for line in parallel_lines(cluster, NODES)] == ["of the old pod", "of the new pod"]


def test_a_server_that_goes_away_for_a_moment_loses_nothing(
    api: Any, controllers: Any, cluster: Cluster, two_nodes: list[str]
) -> None:
    for pod in two_nodes:
        controllers.say(pod, "before")
        controllers.cuts[pod] = [1]

    def restart() -> None:
        api.restart(0.5)
        for pod in two_nodes:
            controllers.say(pod, "after", second=2)  # The connection breaks before it.

    later(restart, lambda: finish(api, controllers, two_nodes), pause=0.7)
    texts = sorted(line.text for line in parallel_lines(cluster, NODES))
    assert texts == ["after", "after", "before", "before"]


@pytest.mark.parametrize("command", ["logs -f", "resume"])
def test_ctrl_c_ends_a_command_whose_pods_say_nothing(
    command: str, api: Any, controllers: Any, two_nodes: list[str]
) -> None:
    said = json.dumps({"event": "phase", "text": "Loading the training libraries"})
    for pod in two_nodes:
        controllers.say(pod, said)
    process = subprocess.Popen(
        [sys.executable, "-m", "starfreight", "jobs", *command.split(), "acme", *ON],
        cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    while "Loading the training libraries" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert {one.method for one in api.asked} == {"GET"}


def test_a_command_shows_the_node_before_each_line(
    api: Any, controllers: Any, two_nodes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, pod in enumerate(two_nodes):
        controllers.say(pod, f"I am {number}")
    finish(api, controllers, two_nodes)
    for follow_it in ((), ("-f",)):
        assert main(["jobs", "logs", "acme", *ON, *follow_it]) == 0
        assert sorted(capsys.readouterr().out.splitlines()) == ["node 0 | I am 0", "node 1 | I am 1"]


def test_the_progress_of_the_first_node_is_shown_and_the_error_of_another_ends_the_command(
    api: Any, controllers: Any, cluster: Cluster, two_nodes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two_nodes
    controllers.say(first, json.dumps({"event": "phase", "text": "Training on two nodes"}))
    error = {"event": "error", "kind": "JobFailed", "what": "The second node failed."}
    later(
        lambda: controllers.say(second, json.dumps(error)),
        lambda: finish(api, controllers, two_nodes, 1),
        pause=0.3,
    )
    with pytest.raises(JobFailed, match="second node failed"):
        follow(cluster, NODES, Console())
    assert "Training on two nodes" in capsys.readouterr().err


def sweep(api: Any, controllers: Any, variants: int) -> list[str]:
    """The pods of a sweep."""
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "train"}]}}
    spec = {
        "completionMode": "Indexed",
        "completions": variants,
        "parallelism": variants,
        "template": template,
    }
    controllers.start(f"{BATCH}/acme", metadata={"labels": LABELS}, spec=spec, status={})
    pods = sorted(
        (pod["metadata"]["name"] for pod in controllers.of(PODS)), key=lambda name: (len(name), name)
    )
    for number, pod in enumerate(pods):
        api.objects[f"{PODS}/{pod}"]["metadata"].setdefault("annotations", {})[INDEX] = str(number)
        controllers.say(pod, f"line of {number}")
    return pods


def complete(api: Any) -> None:
    api.objects[f"{BATCH}/acme"]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}


def test_all_variants_of_a_sweep_are_heard_at_once(
    api: Any, controllers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pods = sweep(api, controllers, 5)

    def end() -> None:
        for pod in pods:
            controllers.end(pod, 0)
        complete(api)

    later(end, pause=0.5)
    assert main(["jobs", "logs", "-f", "acme", *ON]) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == [
        f"[{number}] line of {number}" for number in range(5)
    ]


def test_one_variant_alone_has_no_prefix(
    api: Any, controllers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pods = sweep(api, controllers, 2)
    for pod in pods:
        controllers.end(pod, 0)
    complete(api)
    assert main(["jobs", "logs", "-f", "acme-1", *ON]) == 0
    assert capsys.readouterr().out == "line of 1\n"


def test_further_logs_begin_as_others_end(api: Any, controllers: Any, cluster: Cluster) -> None:
    pods = sweep(api, controllers, 5)
    waiting = iter(pods)

    def end_one() -> None:
        controllers.end(next(waiting), 0)

    later(*(end_one for _ in pods), lambda: complete(api), pause=0.2)
    texts = [line.text for line in parallel_lines(cluster, Target(JOB, "acme"), most=2)]
    assert sorted(texts) == [f"line of {number}" for number in range(5)]


def test_a_server_that_refuses_ends_the_command(
    api: Any, controllers: Any, cluster: Cluster, two_nodes: list[str], reply: Any, failure: Any
) -> None:
    no = failure(403, "Forbidden", 'User "eve" cannot get resource "pods/log"')
    api.before = lambda asked: reply(403, no) if asked.path.endswith("/log") else None
    with pytest.raises(ServiceError, match="pods/log"):
        list(itertools.islice(parallel_lines(cluster, NODES), 10))


def test_many_lines_do_not_keep_new_pods_waiting(
    api: Any, controllers: Any, cluster: Cluster, two_nodes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod that writes all the time, and another that starts later."""
    monkeypatch.setattr(parallel_logs, "_PAUSE", 1.0)
    first, second = two_nodes
    api.objects[f"{PODS}/{second}"]["status"]["containerStatuses"] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            controllers.say(first, "again")
            time.sleep(0.005)

    threading.Thread(target=write, daemon=True).start()
    state = {"name": "train", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    later(
        lambda: api.objects[f"{PODS}/{second}"]["status"].update({"containerStatuses": [state]}),
        lambda: controllers.say(second, "hello"),
        pause=0.2,
    )
    found = False
    end = time.monotonic() + 20
    for line in parallel_lines(cluster, NODES):
        found = found or line.text == "hello"
        if found or time.monotonic() > end:
            break
    stop.set()
    finish(api, controllers, two_nodes)
    assert found


def test_a_follower_notes_the_node_of_a_gpu_that_failed_before_its_pod_is_gone(
    api: Any, controllers: Any, cluster: Cluster, two_nodes: list[str], said: Any
) -> None:
    """JobSet deletes the pods of a failed attempt; the annotation outlives them."""
    first, second = two_nodes
    api.objects[f"{PODS}/{second}"]["spec"]["nodeName"] = "gpu-9"
    fault = {"event": "error", "kind": "GpuFault", "what": "A GPU failed: fallen off the bus."}
    other = {"event": "note", "text": 'a line that names "GpuFault"'}
    controllers.say(first, json.dumps(other))
    controllers.say(second, json.dumps(fault), json.dumps(fault))

    def restart() -> None:
        for pod in two_nodes:
            controllers.end(pod, 71)
            api.remove(f"{PODS}/{pod}")
        api.objects[f"{JOB_SETS}/acme"]["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}

    later(restart, pause=0.6)
    cluster.console = said
    with pytest.raises(GpuFault, match="fallen off"):
        follow(cluster, NODES, said)
    notes = api.objects[f"{JOB_SETS}/acme"]["metadata"]["annotations"]
    assert notes["dev.starfreight/sick-nodes"] == "gpu-9"
    assert said.all.count("A GPU of the node gpu-9 failed") == 1
