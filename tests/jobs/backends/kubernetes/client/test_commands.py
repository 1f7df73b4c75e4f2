"""Commands with the imitated server: requests, output and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from starfreight.cli import main
from starfreight.errors import InputError, JobFailed, JobStopped, StarfreightError
from starfreight.jobs.backends.kubernetes.backend import follow_all
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.follow import follow
from starfreight.jobs.backends.kubernetes.client.submit import resume
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target, find_target

ON = ("--on", "kubernetes")
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
ROOT = Path(__file__).resolve().parents[5]
GROUPS = ("jobset.x-k8s.io/v1alpha2", "trainer.kubeflow.org/v1alpha1")


def ended(code: int, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "startedAt": "2026-01-01T00:00:00Z", **more}}


def condition(kind: str, **more: Any) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True", **more}]}


def log(*events: dict[str, Any]) -> list[bytes]:
    return [
        f"2026-01-01T00:00:{number:02}Z {json.dumps(event)}\n".encode() for number, event in enumerate(events)
    ]


class TestList:
    def test_the_newest_is_the_last(self, api: Any, capsys: pytest.CaptureFixture[str]) -> None:
        api.job("b-new", metadata={"labels": LABELS, "creationTimestamp": "2026-01-02T00:00:00Z"})
        api.job("a-old", status=condition("Complete"))
        api.job("z-of-others", metadata={"labels": {}})
        assert main(["jobs", "list", *ON]) == 0
        head, *lines = capsys.readouterr().out.splitlines()
        assert head.split() == ["JOB", "STATUS", "PODS", "AGE"]
        assert [line.split()[:2] for line in lines] == [["a-old", "done"], ["b-new", "active"]]

    def test_jobs_on_several_nodes_are_in_it_whoever_holds_their_pods(
        self, api: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        jobset, train = (f"/apis/{group}/namespaces/research" for group in GROUPS)
        labels = {**LABELS, "app.kubernetes.io/name": "starfreight"}
        api.job("a-plain")
        api.put(
            f"{jobset}/jobsets/b-set", metadata={"labels": labels}, spec={}, status=condition("Completed")
        )
        api.put(f"{train}/trainjobs/c-train", metadata={"labels": labels}, spec={"suspend": True}, status={})
        assert main(["jobs", "list", *ON, "--json"]) == 0
        rows = {row["job"]: row["status"] for row in json.loads(capsys.readouterr().out)["jobs"]}
        assert rows == {"a-plain": "active", "b-set": "done", "c-train": "stopped"}

    def test_a_cluster_without_them_and_rights_that_end_at_jobs_are_no_error(
        self, api: Any, reply: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse(asked: Any) -> Any:
            if "/jobsets" in asked.path:
                return reply(
                    403, body={"kind": "Status", "reason": "Forbidden", "message": "no", "code": 403}
                )
            return reply(404, body={}) if "/trainjobs" in asked.path else None

        api.before = refuse
        api.job("acme")
        assert main(["jobs", "list", *ON]) == 0
        said = capsys.readouterr()
        assert said.out.splitlines()[1].startswith("acme ")
        assert said.err.startswith("JobSets are not listed: ")

    def test_a_namespace_that_is_not_there_is_no_empty_list(
        self, api: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["jobs", "list", *ON, "--namespace", "nowhere"]) == 2
        assert "The namespace nowhere does not exist." in capsys.readouterr().err

    def test_options_of_a_cluster_need_a_cluster(self, api: Any, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "list", "--context", "test"]) == 2
        assert "--on kubernetes" in capsys.readouterr().err


class TestStatus:
    def test_says_why_it_waits(self, api: Any, capsys: pytest.CaptureFixture[str]) -> None:
        said = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
        held = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
        api.job("acme")
        api.pod("acme-1", "acme", {}, "Pending", conditions=[held])
        assert main(["jobs", "status", "acme", *ON]) == 0
        out = capsys.readouterr().out
        assert out.startswith("acme: waiting\n")
        assert "waiting: node: no node fits: 0/1 nodes are available: 1 Insufficient" in out
        assert main(["jobs", "status", "acme", *ON, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["waiting"]["kind"] == "node"


class TestLogs:
    def test_what_a_library_prints_does_not_steer_the_terminal(
        self, api: Any, reply: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        api.job("acme", status=condition("Complete"))
        api.pod("acme-1", "acme", ended(0), "Succeeded")
        pieces = [b"2026-01-01T00:00:00Z \x1b[2Jgone\x07\n", *log({"event": "phase", "text": "Training"})]
        api.before = lambda asked: reply(pieces=pieces) if asked.path.endswith("/log") else None
        assert main(["jobs", "logs", "acme", *ON]) == 0
        assert capsys.readouterr().out == " [2Jgone \nTraining\n"


class TestFollowing:
    def test_a_failure_that_the_job_recovered_from_is_none(
        self, api: Any, cluster: Cluster, said: Any, reply: Any
    ) -> None:
        """An evicted pod reports a stop, and the next one succeeds."""
        stopped = {"event": "error", "kind": "JobStopped", "what": "stopped", "where": None, "next": None}
        self._serve(api, reply, [stopped], 75, condition("Complete"))
        follow(cluster, Target(JOB, "acme"), said)

    @pytest.mark.parametrize(
        ("events", "state", "status", "kind", "words"),
        [
            (
                [{"event": "error", "kind": "InputError", "what": "No data.", "where": "x", "next": "y"}],
                ended(2), condition("Failed", reason="PodFailurePolicy"), InputError, "No data.",
            ),
            ([], ended(137, reason="OOMKilled"), condition("Failed"), JobFailed, "had used up all memory"),
            ([], ended(2), condition("Failed"), InputError, "exit code 2"),
            ([], ended(75), condition("Failed", reason="DeadlineExceeded"), JobStopped, "exit code 75"),
        ],
    )  # fmt: skip
    def test_how_it_failed_is_said(
        self, api: Any, cluster: Cluster, said: Any, reply: Any, events: list[dict[str, Any]],
        state: dict[str, Any], status: dict[str, Any], kind: type[Exception], words: str,
    ) -> None:  # fmt: skip
        self._serve(api, reply, events, state, status)
        with pytest.raises(kind, match=words):
            follow(cluster, Target(JOB, "acme"), said)

    @pytest.mark.parametrize("state", [ended(2), ended(3), ended(137, reason="OOMKilled")])
    def test_a_failure_that_needs_other_options_advises_to_submit_again(
        self, api: Any, cluster: Cluster, said: Any, reply: Any, state: dict[str, Any]
    ) -> None:
        """A resume would keep the wrong ones."""
        self._serve(api, reply, [], state, condition("Failed"))
        with pytest.raises(StarfreightError) as error:
            follow(cluster, Target(JOB, "acme"), said)
        assert "submit the corrected recipe again" in str(error.value.fix)
        assert "jobs resume" not in str(error.value.fix)

    def test_a_sweep_is_followed_by_one_watch_on_its_job(
        self, api: Any, cluster: Cluster, said: Any, reply: Any
    ) -> None:
        spec = {"completions": 4, "completionMode": "Indexed"}
        api.job("acme", spec=spec, status={"active": 4, "ready": 4})

        def answer(asked: Any) -> Any:
            if "watch" not in asked.query:
                return None
            failed = condition("Failed", reason="FailedIndexes")
            pieces = []
            for status in (
                {"active": 2, "ready": 2, "completedIndexes": "0,1", "succeeded": 2},
                {"completedIndexes": "0-2", "failedIndexes": "3", **failed},
            ):
                job = api.job("acme", spec=spec, status=status)
                pieces.append(json.dumps({"type": "MODIFIED", "object": job}).encode() + b"\n")
            return reply(pieces=pieces)

        api.before = answer
        with pytest.raises(JobFailed, match="1 of 4 variants failed: 3"):
            follow(cluster, Target(JOB, "acme"), said)
        assert len([one for one in api.asked if "watch" in one.query]) == 1
        # The pods are read once, after the end, for the exit codes of those that failed.
        pods = [number for number, one in enumerate(api.asked) if one.path.endswith("/pods")]
        (watch,) = [number for number, one in enumerate(api.asked) if "watch" in one.query]
        assert len(pods) == 1
        assert pods[0] > watch

    def test_a_job_that_is_deleted_meanwhile_is_said(
        self, api: Any, cluster: Cluster, said: Any, reply: Any
    ) -> None:
        api.job("acme")
        api.pod("acme-1", "acme", RUNNING)

        def answer(asked: Any) -> Any:
            if asked.path.endswith("/log"):
                api.objects.pop("/api/v1/namespaces/research/pods/acme-1", None)
                api.objects.pop("/apis/batch/v1/namespaces/research/jobs/acme", None)
                return reply(pieces=[])
            return None

        api.before = answer
        with pytest.raises(JobFailed, match="was deleted while it was running"):
            follow(cluster, Target(JOB, "acme"), said)

    def test_one_that_is_cancelled_meanwhile_is_stopped(
        self, api: Any, cluster: Cluster, said: Any, reply: Any
    ) -> None:
        self._serve(api, reply, [], ended(75), {}, annotations={"dev.starfreight/paused": "{}"})
        with pytest.raises(JobStopped, match="cancelled"):
            resume_or_follow(cluster, said)

    def _serve(
        self, api: Any, reply: Any, events: list[dict[str, Any]], state: Any, status: dict[str, Any],
        annotations: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """A job whose pod ends in the given state once its log has been read."""
        api.job("acme")
        api.pod("acme-1", "acme", RUNNING)
        last = ended(state) if isinstance(state, int) else state

        def answer(asked: Any) -> Any:
            if not asked.path.endswith("/log"):
                return None
            api.pod("acme-1", "acme", last, "Failed")
            api.job("acme", status=status, metadata={"labels": LABELS, "annotations": annotations or {}})
            return reply(pieces=log(*events) if "sinceTime" not in asked.query else [])

        api.before = answer


LABELS = {"app.kubernetes.io/name": "starfreight", "dev.starfreight/run": "acme"}


def resume_or_follow(cluster: Cluster, said: Any) -> None:
    """Like ``jobs resume`` for a running job."""
    follow_all(cluster, (resume(cluster, *find_target(cluster, "acme"), said),), said, detach=False)


def test_ctrl_c_detaches_and_stops_nothing(api: Any) -> None:
    said = "0/1 nodes are available: 1 Insufficient cpu."
    held = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    api.job("acme")
    api.pod("acme-1", "acme", {}, "Pending", conditions=[held])
    process = subprocess.Popen(
        [sys.executable, "-m", "starfreight", "jobs", "resume", "acme", *ON],
        cwd=ROOT, env=dict(os.environ), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "Insufficient cpu" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)  # Else it would wait for a job that never begins.
    assert process.returncode == 130
    assert "The job acme continues." in errors
    assert "starfreight jobs cancel acme" in errors
    assert {one.method for one in api.asked} == {"GET"}


def test_a_hint_names_the_namespace_and_the_context_where_they_are_not_the_usual_ones(
    api: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.job("acme", status=condition("Complete"))
    elsewhere = "starfreight jobs status acme --on kubernetes"

    def hint(*options: str) -> str:
        assert main(["jobs", "cancel", "acme", *ON, *options]) == 2
        return capsys.readouterr().err.rstrip()

    assert hint().endswith(elsewhere)
    assert hint("--namespace", "research", "--context", "test").endswith(elsewhere)
    settings = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    (usual,) = settings["contexts"]
    settings["contexts"] = [
        {**usual, "context": {**usual["context"], "namespace": "default"}},
        {**usual, "name": "the other"},
    ]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("KUBECONFIG", str(path))
    assert hint("--namespace", "research").endswith(f"{elsewhere} --namespace research")
    assert hint("--context", "the other").endswith(f"{elsewhere} --context 'the other'")


def test_help_does_not_load_the_client() -> None:
    code = (
        "import sys; from starfreight.cli import main; main(['jobs', 'run', '--help']);"
        "sys.exit('kubernetes.client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL).returncode == 0
