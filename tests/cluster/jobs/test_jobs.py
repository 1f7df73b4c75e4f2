"""Whole jobs in the cluster in KUBECONFIG, by a user with the right to submit jobs and nothing else."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.run import Run

ON = ("--on", "kubernetes")


def adapter_of(folder: Path) -> str:
    record = Run.load(folder)
    assert record.status == "done"
    assert record.is_done(folder)
    assert record.outcome is not None
    (weights,) = (file for file in record.outcome.adapter if file.path.endswith(".safetensors"))
    return weights.digest


class TestJob:
    def test_runs_to_its_end_and_its_run_is_fetched(
        self, starfreight: Any, recipe: Callable[..., Path], tmp_path: Path, trainer_image: str
    ) -> None:
        path = recipe("whole")
        said = starfreight("run", str(path))
        assert "held out, after training" in said
        (row,) = [one for one in starfreight.json("list", *ON)["jobs"] if one["job"].startswith("whole-")]
        assert (row["status"], row["done"]) == ("done", 1)
        assert "step 20:" in starfreight("logs", row["job"], *ON)
        folder = Path(starfreight.json("fetch", row["job"], "--runs", str(tmp_path / "runs"))["run"])
        adapter_of(folder)
        assert Run.load(folder).image == trainer_image.partition("@")[2]
        assert (folder / "metrics.jsonl").exists()
        assert (folder / "report.html").exists()
        assert not (folder / "checkpoints").exists()
        assert not (folder / "data/blocks.bin").exists()
        assert list((tmp_path / "runs").iterdir()) == [folder]
        # The second submission of the same recipe.
        assert "is finished already" in starfreight("run", str(path))
        # A second fetch replaces the first.
        starfreight("fetch", row["job"], "--runs", str(tmp_path / "runs"))
        adapter_of(folder)

    def test_goes_on_after_cancel_from_its_checkpoint_to_the_same_adapter(
        self, starfreight: Any, recipe: Callable[..., Path], submit: Callable[[Path], str], tmp_path: Path
    ) -> None:
        # Enough that it cannot end between its 30th step and the request to stop.
        steps = {"steps": 500, "checkpoint_every": 50}
        whole = submit(recipe("unbroken", steps))
        starfreight.wait_for(whole, lambda status: status["status"] == "done")
        name = submit(recipe("broken", steps))
        starfreight.wait_for_step(name, 30)
        assert "its checkpoint is written" in starfreight("cancel", name, *ON)
        assert starfreight.json("status", name, *ON)["status"] == "stopped"
        assert "cancelled already" in starfreight("cancel", name, *ON, code=2)
        said = starfreight("resume", name, *ON)
        assert "Resuming after step" in said or "held out, after training" in said
        log = starfreight("logs", name, *ON)
        assert "step 1:" not in log, "the new pod began from nothing"
        digests = [
            adapter_of(Path(starfreight.json("fetch", each, "--runs", str(tmp_path / "runs"))["run"]))
            for each in (whole, name)
        ]
        assert digests[0] == digests[1]

    def test_ctrl_c_leaves_it_running_and_the_second_submission_follows_it(
        self, starfreight: Any, recipe: Callable[..., Path]
    ) -> None:
        path = recipe("detached", {"steps": 120})
        process = starfreight.start("run", str(path))
        for line in process.stderr:
            if line.startswith("Training"):
                break
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
        assert process.returncode == 130, out + errors
        assert " continues. To follow it: " in errors
        said = starfreight("run", str(path))
        assert "is not submitted again" in said
        assert "held out, after training" in said

    def test_goes_on_after_an_eviction(
        self, admin: Any, base_namespace: str, starfreight: Any, recipe: Callable[..., Path],
        submit: Callable[[Path], str],
    ) -> None:  # fmt: skip
        name = submit(recipe("evicted", {"steps": 150, "checkpoint_every": 50}))
        starfreight.wait_for_step(name, 20)
        (pod,) = [each["pod"] for each in starfreight.json("status", name, *ON)["pods_now"]]
        # What `kubectl drain` sends for each pod of a node.
        path = f"/api/v1/namespaces/{base_namespace}/pods/{pod}/eviction"
        for version in ("policy/v1", "policy/v1beta1"):
            eviction = {
                "apiVersion": version, "kind": "Eviction",
                "metadata": {"name": pod, "namespace": base_namespace},
            }  # fmt: skip
            done = admin.try_kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
            if done.returncode == 0:
                break
        assert done.returncode == 0, done.stderr
        # A server with podFailurePolicy creates another pod by itself; an older one needs the resume below.
        starfreight.wait_for(
            name,
            lambda status: (
                pod not in [each["pod"] for each in status["pods_now"] if each["exit_code"] is None]
            ),
        )
        starfreight("resume", name, *ON)
        assert starfreight.json("status", name, *ON)["status"] == "done"
        assert "step 1:" not in starfreight("logs", name, *ON)


class TestFailures:
    def test_a_bad_recipe_fails_once(
        self, starfreight: Any, recipe: Callable[..., Path], tmp_path: Path
    ) -> None:
        path = recipe("bad")
        content = json.loads(path.read_text())
        content["data"][0]["include"] = ["nothing.is.called.so"]
        path.write_text(json.dumps(content))
        said = starfreight("run", str(path), code=2)
        name = next(
            one["job"] for one in starfreight.json("list", *ON)["jobs"] if one["job"].startswith("bad-")
        )
        status = starfreight.json("status", name, *ON)
        assert status["status"] == "failed"
        assert [each["exit_code"] for each in status["pods_now"]] == [2], said

    def test_too_little_memory_is_said(
        self, starfreight: Any, recipe: Callable[..., Path], submit: Callable[[Path], str]
    ) -> None:
        name = submit(recipe("hungry", memory="100MB"))
        status = starfreight.wait_for(name, lambda status: status["status"] == "failed")
        assert "it had used up its 100M of memory" in status["pods_now"][0]["what"]
        assert len(status["pods_now"]) == 1

    def test_an_image_that_cannot_be_pulled_is_said(
        self, starfreight: Any, recipe: Callable[..., Path], submit: Callable[[Path], str]
    ) -> None:
        image = f"registry.invalid/trainer@sha256:{'1' * 64}"
        name = submit(recipe("nowhere", image=image))
        status = starfreight.wait_for(name, lambda status: (status["waiting"] or {}).get("kind") == "image")
        assert image in status["waiting"]["what"]
        assert "run.image" in status["waiting"]["next"]

    def test_a_claim_that_is_lost_is_said(
        self, starfreight: Any, recipe: Callable[..., Path], submit: Callable[[Path], str]
    ) -> None:
        name = submit(recipe("homeless", kubernetes={"runs_claim": "nobody-made-this"}))
        status = starfreight.wait_for(name, lambda status: (status["waiting"] or {}).get("kind") == "volume")
        assert "nobody-made-this" in status["waiting"]["what"]

    def test_a_used_up_quota_is_said(
        self, starfreight: Any, recipe: Callable[..., Path], submit: Callable[[Path], str]
    ) -> None:
        name = submit(recipe("greedy", memory="2TB"))
        status = starfreight.wait_for(name, lambda status: (status["waiting"] or {}).get("kind") == "quota")
        assert "exceeded quota" in status["waiting"]["what"]

    def test_a_namespace_of_others_is_refused(self, starfreight: Any) -> None:
        said = starfreight("list", *ON, "--namespace", "kube-system", code=4)
        assert "You may not read jobs in the namespace kube-system" in said
        assert "Traceback" not in said


class TestGpu:
    def test_waits_for_a_node_with_one_and_is_scheduled_when_there_is(
        self, admin: Any, starfreight: Any, recipe: Callable[..., Path], submit: Callable[[Path], str],
    ) -> None:  # fmt: skip
        nodes = json.loads(admin.kubectl("get", "nodes", "-o", "json"))["items"]
        if any("nvidia.com/gpu" in node["status"]["allocatable"] for node in nodes):
            pytest.skip("the cluster has real GPUs")
        name = submit(recipe("gpu", gpus=1, kubernetes={"cpus": 1}))
        status = starfreight.wait_for(name, lambda status: (status["waiting"] or {}).get("kind") == "node")
        assert "Insufficient nvidia.com/gpu" in status["waiting"]["what"]
        node = nodes[0]["metadata"]["name"]
        try:
            self._offer(admin, node, "1")
            starfreight.wait_for(name, lambda status: status["pods_now"][0]["node"] == node)
        finally:
            self._offer(admin, node, None)

    def _offer(self, admin: Any, node: str, count: str | None) -> None:
        """Pretends to the scheduler that a node has GPUs."""
        patch = {"status": {kind: {"nvidia.com/gpu": count} for kind in ("capacity", "allocatable")}}
        admin.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", json.dumps(patch))
