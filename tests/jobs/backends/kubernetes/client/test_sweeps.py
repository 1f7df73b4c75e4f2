"""Sweeps: following, status, logs and fetching, when variants fail."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.errors import InputError, JobFailed, ServiceError
from starfreight.jobs.backends.interface import Fetched
from starfreight.jobs.backends.kubernetes.client import fetch as fetching
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.follow import follow
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target

ON = ("--on", "kubernetes")
INDEX = "batch.kubernetes.io/job-completion-index"
FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "FailedIndexes"}]}


def sweep(api: Any, codes: dict[int, int], variants: int = 5, **status: Any) -> None:
    """A sweep that has ended, with the exit codes of the variants that failed."""
    done = [number for number in range(variants) if number not in codes]
    found = {
        "completedIndexes": ",".join(map(str, done)), "failedIndexes": ",".join(map(str, codes)),
        "succeeded": len(done), "failed": len(codes), **FAILED, **status,
    }  # fmt: skip
    spec = {"completions": variants, "completionMode": "Indexed"}
    claim = {"name": "r", "persistentVolumeClaim": {"claimName": "runs"}}
    container = {"name": "train", "image": "x", "volumeMounts": [{"name": "r", "mountPath": "/runs"}]}
    template = {"spec": {"containers": [container], "volumes": [claim]}}
    api.job("acme", spec={**spec, "template": template}, status=found)
    for number, code in codes.items():
        state = {"terminated": {"exitCode": code, "startedAt": "2026-01-01T00:00:00Z"}}
        metadata = {"labels": {"job-name": "acme", INDEX: str(number)}}
        api.pod(f"acme-{number}-x", "acme", state, "Failed", metadata=metadata)


class TestFollowing:
    @pytest.mark.parametrize(
        ("codes", "kind"),
        [
            ({1: 2, 3: 2}, InputError),
            ({1: 4}, ServiceError),
            ({1: 2, 3: 4}, JobFailed),
            ({1: 1}, JobFailed),
        ],
    )
    def test_ends_with_the_exit_code_of_the_variants(
        self, api: Any, cluster: Cluster, said: Any, codes: dict[int, int], kind: type[Exception]
    ) -> None:
        sweep(api, codes)
        with pytest.raises(kind) as error:
            follow(cluster, Target(JOB, "acme"), said)
        assert type(error.value) is kind
        text = str(error.value)
        assert f"{len(codes)} of 5 variants failed: {', '.join(map(str, codes))}." in text
        assert f"exit code {codes[1]}" in text
        assert "jobs logs acme-1 --on kubernetes" in text

    def test_variants_whose_pods_are_gone_are_still_named(
        self, api: Any, cluster: Cluster, said: Any
    ) -> None:
        sweep(api, {1: 2})
        api.remove("/api/v1/namespaces/research/pods/acme-1-x")
        with pytest.raises(JobFailed, match=r"1 of 5 variants failed: 1\.$|1 of 5 variants failed: 1\.;"):
            follow(cluster, Target(JOB, "acme"), said)

    def test_one_that_waits_says_why_also_later(
        self, api: Any, cluster: Cluster, said: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from starfreight.jobs.backends.kubernetes.client import follow as module

        monkeypatch.setattr(module, "_REASON_INTERVAL", 0.0)
        api.job("acme", spec={"completions": 2, "completionMode": "Indexed"}, status={})

        def fail_to_pull(asked: Any) -> None:
            watches = [one for one in api.asked if "watch" in one.query]
            if len(watches) == 2 and asked is watches[-1]:
                waiting = {"waiting": {"reason": "ErrImagePull", "message": "denied"}}
                api.pod("acme-0-x", "acme", waiting, "Pending")
            elif len(watches) == 4:
                sweep(api, {}, 2, conditions=[{"type": "Complete", "status": "True"}])
                monkeypatch.setattr(module, "is_over", lambda job: True)

        api.before = fail_to_pull
        follow(cluster, Target(JOB, "acme"), said)
        assert any("cannot be pulled" in note for note in said.notes)


class TestCommands:
    def test_status_names_the_variants_that_failed(
        self, api: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sweep(api, {1: 2, 3: 2})
        assert main(["jobs", "status", "acme", *ON]) == 0
        assert (
            "variants: 3 of 5 done, 2 failed: 1, 3 (starfreight jobs logs acme-1" in capsys.readouterr().out
        )
        assert main(["jobs", "status", "acme", *ON, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["failed_variants"] == [1, 3]

    def test_one_whose_next_variants_find_no_node_says_so(
        self, api: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sweep(api, {}, 2, conditions=[], completedIndexes="0", succeeded=1, active=1)
        ended = {"terminated": {"exitCode": 0, "startedAt": "2026-01-01T00:00:00Z"}}
        api.pod("acme-0-x", "acme", ended, "Succeeded")
        said = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
        held = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
        api.pod("acme-1-x", "acme", {}, "Pending", conditions=[held])
        assert main(["jobs", "status", "acme", *ON]) == 0
        assert "waiting: node: no node fits: 0/1 nodes" in capsys.readouterr().out

    def test_logs_name_the_variants_that_failed(
        self, api: Any, reply: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sweep(api, {1: 2, 3: 2})
        line = b"2026-01-01T00:00:00Z wrong\n"
        api.before = lambda asked: reply(pieces=[line]) if asked.path.endswith("/log") else None
        assert main(["jobs", "logs", "acme", *ON]) == 0
        shown = capsys.readouterr()
        assert shown.out == "[1] wrong\n[3] wrong\n"
        assert "Variants that failed: 1, 3." in shown.err


class TestFetching:
    @pytest.fixture
    def copied(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Variants that were copied; variant 3 has no run, and a copy of variant 4 breaks off on request."""
        names: list[str] = []

        def copy(source: Any, runs: Path, packages: Path | None) -> Fetched:
            name = source.target.link
            if name == "acme-3":
                raise InputError("It holds neither a run nor a package yet.")
            names.append(name)
            return Fetched(runs / f"run-{name}", packages and packages / name)

        monkeypatch.setattr(fetching, "_fetch_one", copy)
        monkeypatch.setattr(fetching, "reader_pod", lambda *given: contextlib.nullcontext("pod"))
        return names

    def test_each_variant_that_ended_comes_home_and_those_that_failed_are_named(
        self, api: Any, copied: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sweep(api, {1: 2, 3: 2})
        runs, packages = str(tmp_path / "runs"), str(tmp_path / "packages")
        assert main(["jobs", "fetch", "acme", *ON, "--runs", runs, "--packages", packages]) == 0
        shown = capsys.readouterr()
        assert copied == ["acme-0", "acme-1", "acme-2", "acme-4"]
        assert "acme-3 is not fetched: It holds neither a run" in shown.err
        assert "Variants that failed: acme-1, acme-3. Next: starfreight jobs logs acme-1" in shown.out
        assert f"Run written to {runs}/run-acme-2." in shown.out
        assert shown.out.count("Package written") == 3  # A variant that failed has none.

    def test_one_that_is_still_running_is_named(
        self, api: Any, copied: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sweep(api, {}, conditions=[], completedIndexes="0,2", succeeded=2, active=3)
        assert main(["jobs", "fetch", "acme", *ON, "--runs", str(tmp_path), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [row["job"] for row in found["variants"]] == copied == ["acme-0", "acme-2"]
        assert found["unfinished"] == ["acme-1", "acme-3", "acme-4"]

    def test_one_that_is_done_but_cannot_be_fetched_is_an_error_after_the_others(
        self, api: Any, copied: list[str], tmp_path: Path
    ) -> None:
        sweep(api, {1: 2})
        assert main(["jobs", "fetch", "acme", *ON, "--runs", str(tmp_path)]) == 2
        assert copied == ["acme-0", "acme-1", "acme-2", "acme-4"]

    def test_nothing_has_ended_yet(
        self, api: Any, copied: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sweep(api, {}, conditions=[], completedIndexes="", succeeded=0, active=5)
        assert main(["jobs", "fetch", "acme", *ON, "--runs", str(tmp_path)]) == 2
        assert "None of the 5 variants of acme has ended yet." in capsys.readouterr().err

    def test_a_sweep_with_a_job_for_each_variant_comes_home_too(
        self, api: Any, copied: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        claim = {"name": "r", "persistentVolumeClaim": {"claimName": "runs"}}
        container = {"name": "train", "image": "x", "volumeMounts": [{"name": "r", "mountPath": "/runs"}]}
        template = {"spec": {"containers": [container], "volumes": [claim]}}
        labels = {"app.kubernetes.io/name": "starfreight", "dev.starfreight/run": "acme"}
        for number, kind in enumerate(("Complete", "Failed", "", "Failed")):
            conditions = [{"type": kind, "status": "True"}] if kind else []
            api.job(
                f"acme-{number}", metadata={"labels": labels}, spec={"template": template},
                status={"conditions": conditions},
            )  # fmt: skip
        assert main(["jobs", "fetch", "acme", *ON, "--runs", str(tmp_path), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [row["job"] for row in found["variants"]] == copied == ["acme-0", "acme-1"]
        assert (found["failed"], found["unfinished"]) == (["acme-1", "acme-3"], ["acme-2"])

    def test_one_variant_is_one_run(
        self, api: Any, copied: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sweep(api, {1: 2})
        assert main(["jobs", "fetch", "acme-2", *ON, "--runs", str(tmp_path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"run": f"{tmp_path}/run-acme-2"}
