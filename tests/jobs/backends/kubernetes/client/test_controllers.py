"""Jobs that controllers own: Trainer's JobSets, JobSet's Jobs, and Kueue's suspension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes_controllers import BATCH, EVENTS, JOB_SETS, PODS, QUEUES, TRAIN_JOBS, WORKLOADS

from starfreight.cli import main
from starfreight.errors import InputError, JobStopped, ServiceError
from starfreight.jobs.backends.kubernetes.client import release, suspension
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.follow import follow
from starfreight.jobs.backends.kubernetes.client.job_status import paused, view
from starfreight.jobs.backends.kubernetes.client.pause import cancel
from starfreight.jobs.backends.kubernetes.client.reader_pod import reader_pod
from starfreight.jobs.backends.kubernetes.client.submit import resume, submit
from starfreight.jobs.backends.kubernetes.client.targets import find_target, pods_of
from starfreight.jobs.backends.kubernetes.client.wait_reasons import wait_reason
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered
from starfreight.jobs.backends.kubernetes.manifests.templates import load_template

ON = ("--on", "kubernetes")
LABELS = {"app.kubernetes.io/name": "starfreight", "dev.starfreight/run": "acme"}
QUEUED = {**LABELS, "kueue.x-k8s.io/queue-name": "gpus"}


@pytest.fixture
def of_two_nodes(controllers: Any) -> Callable[..., str]:
    """Creates a job on two nodes of a kind, and returns its path."""

    def make(kind: str, labels: dict[str, str] | None = None) -> str:
        pods = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "train"}]}}
        spec: dict[str, Any] = {"parallelism": 2, "template": pods}
        path, body = f"{BATCH}/acme", spec
        if kind == "JobSet":
            parts = [{"name": "node", "replicas": 1, "template": {"spec": spec}}]
            path, body = f"{JOB_SETS}/acme", {"replicatedJobs": parts}
        elif kind == "TrainJob":
            path, body = f"{TRAIN_JOBS}/acme", {"runtimeRef": {"name": "torch"}, "trainer": {"numNodes": 2}}
        controllers.start(path, metadata={"labels": labels or LABELS}, spec=body, status={})
        return path

    return make


class TestOwners:
    @pytest.mark.parametrize("kind", ["Job", "JobSet", "TrainJob"])
    def test_a_cancel_lasts_and_a_resume_starts_the_pods_again(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any, kind: str
    ) -> None:
        path = of_two_nodes(kind)
        controllers.grace = 0.4
        assert len(controllers.of(PODS)) == 2
        target, job = find_target(cluster, "acme")
        assert target.kind.name == kind
        assert cancel(cluster, target, job, said, 20) == "its checkpoint is written"
        controllers.act()
        assert controllers.of(PODS) == []
        assert all(one["spec"]["suspend"] for prefix in (BATCH, JOB_SETS) for one in controllers.of(prefix))
        assert view(cluster.get(path)).status == "stopped"
        resume(cluster, *find_target(cluster, "acme"), said)
        assert len(controllers.of(PODS)) == 2
        assert paused(api.objects[path]) is None

    @pytest.mark.parametrize("kind", ["JobSet", "TrainJob"])
    def test_a_part_of_a_job_is_the_job(
        self, controllers: Any, cluster: Cluster, of_two_nodes: Any, kind: str
    ) -> None:
        of_two_nodes(kind)
        target, _ = find_target(cluster, "acme-node-0")
        assert (target.kind.name, target.name, target.variant) == (kind, "acme", None)
        assert len(pods_of(cluster, target)) == 2

    def test_an_owner_that_may_not_be_read_is_said_and_its_part_left_alone(
        self, api: Any, cluster: Cluster, of_two_nodes: Any, reply: Any, failure: Any
    ) -> None:
        of_two_nodes("TrainJob")
        no = failure(403, "Forbidden", 'User "eve" cannot get resource "trainjobs"')
        api.before = lambda asked: reply(403, no) if "/trainjobs" in asked.path else None
        with pytest.raises(ServiceError, match="may not read trainjobs"):
            find_target(cluster, "acme")

    def test_a_part_whose_owner_is_gone_stands_for_itself(
        self, api: Any, cluster: Cluster, of_two_nodes: Any
    ) -> None:
        del api.objects[of_two_nodes("TrainJob")]
        assert find_target(cluster, "acme")[0].kind.name == "JobSet"

    def test_the_list_has_each_job_once(
        self, api: Any, controllers: Any, of_two_nodes: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        of_two_nodes("TrainJob")
        for one in (*controllers.of(JOB_SETS), *controllers.of(BATCH)):
            one["metadata"]["labels"].update(LABELS)
        assert main(["jobs", "list", *ON]) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["JOB", "acme"]

    def test_a_job_of_the_same_name_and_another_kind_is_the_same_job(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any, render_file: Callable[..., Rendered]
    ) -> None:
        as_train_job, as_job_set = (
            render_file(f"nodes-{engine}").documents for engine in ("trainer", "jobset")
        )
        name = as_train_job[-1]["metadata"]["name"]
        if as_job_set[-1]["metadata"]["name"] != name:
            as_job_set[-1]["metadata"]["name"] = name
        submit(cluster, as_train_job, said)
        (found,) = submit(cluster, as_job_set, said)
        assert (found.target.kind.name, found.how) == ("TrainJob", "running")
        assert "it is a TrainJob, and keeps the options it was submitted with" in said.all


class TestWarnings:
    @pytest.mark.parametrize("kind", ["Job", "JobSet", "TrainJob"])
    @pytest.mark.parametrize(
        ("message", "word"),
        [
            ("forbidden: exceeded quota: gpus, requested: nvidia.com/gpu=8", "quota"),
            ('forbidden: violates PodSecurity "restricted:latest"', "policy"),
            ("lost: the webhook does not answer", "cluster"),
        ],
    )
    def test_pods_that_are_refused_are_seen_at_the_job_that_owns_them_all(
        self, controllers: Any, cluster: Cluster, of_two_nodes: Any, kind: str, message: str, word: str
    ) -> None:
        controllers.refusal = message
        of_two_nodes(kind)
        _, job = find_target(cluster, "acme")
        found = wait_reason(cluster, job, [])
        assert found.kind == word
        assert message in found.what
        assert found.fix

    def test_the_second_of_two_nodes_that_is_refused_is_seen_too(
        self, api: Any, controllers: Any, of_two_nodes: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        of_two_nodes("JobSet")
        api.remove(next(path for path in api.objects if path.startswith(PODS)))
        controllers.refusal = "forbidden: exceeded quota: gpus"
        controllers.act()
        assert main(["jobs", "status", "acme", *ON]) == 0
        out = capsys.readouterr().out
        assert out.startswith("acme: waiting\n")
        assert "waiting: quota" in out

    def test_a_node_that_has_finished_before_the_other_is_not_missing(
        self, controllers: Any, of_two_nodes: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        of_two_nodes("JobSet")
        controllers.end(controllers.of(PODS)[1]["metadata"]["name"], 0)
        assert main(["jobs", "status", "acme", *ON]) == 0
        out = capsys.readouterr().out
        assert out.startswith("acme: running\n")
        assert "waiting" not in out

    @pytest.mark.parametrize("reason", ["FailedCreatePodSandBox", "SomethingNew"])
    def test_a_warning_of_a_pod_is_shown_in_its_own_words(
        self, api: Any, controllers: Any, cluster: Cluster, of_two_nodes: Any, reason: str
    ) -> None:
        controllers.state, controllers.phase = {"waiting": {"reason": "ContainerCreating"}}, "Pending"
        of_two_nodes("Job")
        target, job = find_target(cluster, "acme")
        pods = pods_of(cluster, target)
        assert wait_reason(cluster, job, pods).kind == "starting"
        controllers.event(reason, "plugin type calico failed", pods[1], "Pod")
        found = wait_reason(cluster, job, pods)
        assert (found.kind, found.what) == ("cluster", f"{reason}: plugin type calico failed")
        assert f"kubectl describe pod {pods[1]['metadata']['name']}" in str(found.fix)

    def test_a_warning_that_is_overcome_or_harmless_is_none(
        self, api: Any, controllers: Any, cluster: Cluster, of_two_nodes: Any
    ) -> None:
        controllers.state, controllers.phase = {"waiting": {"reason": "ContainerCreating"}}, "Pending"
        of_two_nodes("Job")
        target, job = find_target(cluster, "acme")
        pods = pods_of(cluster, target)
        controllers.event("FailedCreatePodSandBox", "plugin failed", pods[0], "Pod")
        controllers.event("DNSConfigForming", "Nameserver limits were exceeded", pods[0], "Pod")
        about = {"kind": "Pod", "uid": pods[0]["metadata"]["uid"]}
        api.put(
            f"{EVENTS}/later", type="Normal", reason="Pulling", involvedObject=about,
            lastTimestamp="2026-01-01T02:00:00Z",
        )  # fmt: skip
        assert wait_reason(cluster, job, pods).kind == "starting"

    def test_the_reason_is_said_once_though_each_try_has_another_name(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        from starfreight.jobs.backends.kubernetes.client import follow as module

        monkeypatch.setattr(module, "_REASON_INTERVAL", 0.0)
        controllers.refusal = "forbidden: violates PodSecurity"
        of_two_nodes("Job")
        note = module._ReasonNotes(cluster, said)
        for _ in range(4):
            note(find_target(cluster, "acme")[1], [])
            controllers.act()
        assert len(said.notes) == 1


class TestSuspendedByOthers:
    @pytest.mark.parametrize("kind", ["Job", "JobSet", "TrainJob"])
    def test_resume_says_who_did_it_and_starts_it(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any, kind: str
    ) -> None:
        path = of_two_nodes(kind)
        api.change(path, {"spec": {"suspend": True}}, "kubectl-patch")
        controllers.act()
        assert controllers.of(PODS) == []
        found = resume(cluster, *find_target(cluster, "acme"), said)
        assert found.how == "resumed"
        assert "it was suspended by kubectl-patch, at 2026-01-01T12:00:00Z. It is resumed." in said.all
        assert len(controllers.of(PODS)) == 2

    def test_resume_of_one_that_is_held_does_not_say_that_it_goes_on(
        self, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any
    ) -> None:
        controllers.holds = True
        of_two_nodes("Job")
        with pytest.raises(ServiceError, match="stays suspended: suspended again at once by gatekeeper"):
            resume(cluster, *find_target(cluster, "acme"), said)
        assert "resumed" not in said.all

    def test_following_it_says_why_and_ends(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr(suspension, "_HELD", 0.5)
        path = of_two_nodes("Job")
        api.change(path, {"spec": {"suspend": True}}, "kubectl-patch")
        controllers.act()
        with pytest.raises(JobStopped, match="suspended by kubectl-patch") as error:
            follow(cluster, find_target(cluster, "acme")[0], said)
        assert "jobs resume acme" in str(error.value.fix)
        assert "Waiting: suspended: it was suspended by kubectl-patch" in said.all

    def test_status_says_who_did_it(
        self, api: Any, controllers: Any, of_two_nodes: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        api.change(of_two_nodes("TrainJob"), {"spec": {"suspend": True}}, "kubectl-patch")
        controllers.act()
        assert main(["jobs", "status", "acme", *ON]) == 0
        out = capsys.readouterr().out
        assert out.startswith("acme: stopped")
        assert "it was suspended by kubectl-patch" in out


class TestKueue:
    @pytest.mark.parametrize("kind", ["Job", "JobSet", "TrainJob"])
    def test_cancel_and_resume_go_by_the_workload_of_the_owner(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any, kind: str
    ) -> None:
        controllers.kueue = True
        api.put(f"{QUEUES}/gpus")
        of_two_nodes(kind, QUEUED)
        controllers.grace = 0.4
        assert len(controllers.of(PODS)) == 2
        assert cancel(cluster, *find_target(cluster, "acme"), said, 20) == "its checkpoint is written"
        assert api.objects[f"{WORKLOADS}/acme"]["spec"]["active"] is False
        resume(cluster, *find_target(cluster, "acme"), said)
        assert len(controllers.of(PODS)) == 2

    def test_a_cancel_that_kueue_may_not_be_told_leaves_no_trace(
        self,
        api: Any,
        controllers: Any,
        cluster: Cluster,
        said: Any,
        of_two_nodes: Any,
        reply: Any,
        failure: Any,
    ) -> None:
        controllers.kueue = True
        api.put(f"{QUEUES}/gpus")
        path = of_two_nodes("Job", QUEUED)
        no = failure(403, "Forbidden", 'User "eve" cannot patch resource "workloads"')
        api.before = lambda asked: (
            reply(403, no) if asked.method == "PATCH" and "/workloads/" in asked.path else None
        )
        with pytest.raises(ServiceError, match="may not change workloads"):
            cancel(cluster, *find_target(cluster, "acme"), said, 5)
        assert paused(api.objects[path]) is None
        assert view(api.objects[path]).status == "active"

    def test_resume_of_one_in_its_queue_says_what_the_queue_waits_for(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any
    ) -> None:
        controllers.kueue, controllers.room = True, False
        api.put(f"{QUEUES}/gpus")
        path = of_two_nodes("Job", QUEUED)
        assert resume(cluster, *find_target(cluster, "acme"), said).how == "running"
        assert "insufficient unused quota" in said.all
        assert "resumed" not in said.all
        assert api.objects[path]["spec"]["suspend"] is True

    def test_a_queue_that_does_not_exist_is_an_error_with_the_way_out(
        self, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any
    ) -> None:
        controllers.kueue = True
        of_two_nodes("Job", QUEUED)
        with pytest.raises(ServiceError, match="LocalQueue gpus doesn't exist") as error:
            resume(cluster, *find_target(cluster, "acme"), said)
        assert "--queue" in str(error.value.fix)
        assert "--replace" in str(error.value.fix)

    def test_one_without_a_queue_that_kueue_holds_needs_a_queue(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any
    ) -> None:
        controllers.kueue = controllers.manage_all = True
        of_two_nodes("Job")
        _, job = find_target(cluster, "acme")
        found = wait_reason(cluster, job, [])
        assert found.kind == "queue"
        assert "jobs without a queue do not start" in found.what
        with pytest.raises(ServiceError, match="Kueue holds it"):
            resume(cluster, *find_target(cluster, "acme"), said)

    def test_a_workload_that_an_admin_made_inactive_is_said_and_made_active(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any, of_two_nodes: Any
    ) -> None:
        controllers.kueue = True
        api.put(f"{QUEUES}/gpus")
        of_two_nodes("Job", QUEUED)
        api.change(f"{WORKLOADS}/acme", {"spec": {"active": False}}, "kubectl-edit")
        controllers.act()
        _, job = find_target(cluster, "acme")
        assert "made inactive by kubectl-edit" in wait_reason(cluster, job, []).what
        resume(cluster, *find_target(cluster, "acme"), said)
        assert api.objects[f"{WORKLOADS}/acme"]["spec"]["active"] is True
        assert len(controllers.of(PODS)) == 2


class TestReader:
    def test_where_kueue_holds_jobs_without_a_queue_it_has_the_queue_of_its_job(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any
    ) -> None:
        controllers.kueue = controllers.manage_all = True
        api.put(f"{QUEUES}/gpus")
        job = {"metadata": {"labels": {**QUEUED, "kueue.x-k8s.io/priority-class": "low", "other": "x"}}}
        with reader_pod(cluster, load_template("reader"), job, said) as pod:
            assert f"{PODS}/{pod}" in api.objects
            (reader,) = controllers.of(BATCH)
            labels = reader["metadata"]["labels"]
            assert labels["kueue.x-k8s.io/queue-name"] == "gpus"
            assert labels["kueue.x-k8s.io/priority-class"] == "low"
            assert "other" not in labels
        assert controllers.of(BATCH) == []

    def test_elsewhere_it_needs_no_place_in_a_queue(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any
    ) -> None:
        controllers.kueue, controllers.room = True, False
        with reader_pod(cluster, load_template("reader"), {"metadata": {"labels": QUEUED}}, said):
            (reader,) = controllers.of(BATCH)
            assert "kueue.x-k8s.io/queue-name" not in reader["metadata"]["labels"]

    def test_one_that_ends_before_it_is_ready_says_how(
        self, api: Any, controllers: Any, cluster: Cluster, said: Any
    ) -> None:
        controllers.state, controllers.phase = {"terminated": {"exitCode": 127}}, "Failed"
        match = "does not start: its pod could not find its program"
        with pytest.raises(ServiceError, match=match), reader_pod(
            cluster, load_template("reader"), {"metadata": {}}, said
        ):  # fmt: skip
            pass


@pytest.fixture(autouse=True)
def settle_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Controllers of the tests act at once."""
    monkeypatch.setattr(release, "_SETTLE", 0.1)


def test_a_part_of_a_job_has_no_variants(
    api: Any, cluster: Cluster, controllers: Any, of_two_nodes: Any
) -> None:
    of_two_nodes("JobSet")
    with pytest.raises(InputError, match="does not exist"):
        find_target(cluster, "acme-node-0-1")
