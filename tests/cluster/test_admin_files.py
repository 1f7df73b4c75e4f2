"""kubernetes/ on a real API server: the files are valid, and grant the intended rights only."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from starfreight.recipe.kubernetes import KubernetesOptions

Rights = dict[tuple[str, str], set[str]]

SUBMITTERS = "starfreight-submitters"
EVERYBODY = ("system:authenticated",)
GIVEN: Rights = {
    ("batch", "jobs"): {"create", "get", "list", "watch", "patch", "delete"},
    ("jobset.x-k8s.io", "jobsets"): {"create", "get", "list", "watch", "patch", "delete"},
    ("trainer.kubeflow.org", "trainjobs"): {"create", "get", "list", "watch", "patch", "delete"},
    ("", "configmaps"): {"create", "get", "patch"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "pods/log"): {"get"},
    ("", "pods/exec"): {"get", "create"},
    ("", "events"): {"list"},
    ("", "namespaces"): {"get"},
    ("", "persistentvolumeclaims"): {"get"},
}
"""What a submitter may, by API group and resource."""


@pytest.fixture(scope="module")
def rights(admin: Any) -> Callable[..., Rights]:
    """All rights of a user in a namespace."""

    def ask(user: str, groups: Iterable[str], namespace: str) -> Rights:
        review = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }  # fmt: skip
        path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
        who = [f"--as={user}", *(f"--as-group={group}" for group in groups)]
        answer = json.loads(admin.kubectl("create", "--raw", path, "-f", "-", *who, stdin=json.dumps(review)))
        assert answer["status"]["incomplete"] is False
        allowed: Rights = {}
        for rule in answer["status"]["resourceRules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    allowed.setdefault((group, resource), set()).update(rule["verbs"])
        return allowed

    return ask


class TestRights:
    """Answers of the server."""

    def test_a_submitter_may_do_this_and_nothing_else(
        self, rights: Callable[..., Rights], base_namespace: str
    ) -> None:
        everybody = rights("somebody", EVERYBODY, base_namespace)
        assert rights("somebody", (SUBMITTERS, *EVERYBODY), base_namespace) == everybody | GIVEN
        assert not everybody.keys() & GIVEN.keys()

    def test_a_submitter_may_nothing_in_another_namespace(self, rights: Callable[..., Rights]) -> None:
        everybody = rights("somebody", EVERYBODY, "default")
        assert rights("somebody", (SUBMITTERS, *EVERYBODY), "default") == everybody

    def test_a_job_may_nothing(self, rights: Callable[..., Rights], base_namespace: str) -> None:
        name = f"system:serviceaccount:{base_namespace}:{KubernetesOptions().service_account}"
        accounts = ("system:serviceaccounts", *EVERYBODY)
        job = rights(name, (f"system:serviceaccounts:{base_namespace}", *accounts), base_namespace)
        assert job == rights("somebody", accounts, base_namespace)


class TestSubmitter:
    """A user with a token and a role."""

    def test_runs_a_job_reads_it_stops_it_and_removes_it(
        self, submitter: Any, base_namespace: str, small_image: str
    ) -> None:
        name = submitter.kubectl(
            "create", "-f", "-", "-o", "name", stdin=json.dumps(a_job(small_image))
        ).strip()
        short = name.rpartition("/")[2]
        pod = running_pod(submitter, short)
        assert (
            submitter.kubectl("exec", pod, "--", "sh", "-c", "ls -d /var/run/secrets/* || echo none")
            == "none\n"
        )
        assert submitter.kubectl("logs", pod) == "hello\n"
        submitter.kubectl("patch", name, "--type=merge", "-p", '{"spec": {"parallelism": 0}}')
        submitter.kubectl("get", "events")
        submitter.kubectl("wait", "--for=delete", f"pod/{pod}", "--timeout=60s")
        submitter.kubectl("delete", name)

    @pytest.mark.parametrize(
        "arguments",
        [
            ("get", "secrets"),
            ("get", "configmaps"),
            ("get", "jobs", "-n", "default"),
            ("get", "nodes"),
            ("run", "mine", "--image=registry.example/nothing:1"),
            ("delete", "pod", "mine"),
            ("delete", "pvc", KubernetesOptions().runs_claim),
            ("create", "token", KubernetesOptions().service_account),
            ("create", "rolebinding", "mine", "--role=starfreight-submitter", "--user=somebody"),
        ],
        ids=" ".join,
    )
    def test_is_refused_everything_else(self, submitter: Any, arguments: tuple[str, ...]) -> None:
        refused = submitter.try_kubectl(*arguments)
        assert refused.returncode == 1
        assert "Forbidden" in refused.stderr or "forbidden" in refused.stderr


class TestServer:
    """The files are valid and enforced."""

    def test_base_applied_again_changes_nothing(
        self, admin: Any, base_namespace: str, in_namespace: Callable[[str, str], Path]
    ) -> None:
        again = admin.kubectl("apply", "-k", str(in_namespace("base", base_namespace)))
        assert {line.split()[-1] for line in again.splitlines()} == {"unchanged"}

    @pytest.mark.parametrize(
        ("overlay", "resource", "group"),
        [
            ("gpu-operator", "configmaps", ""),
            ("kueue", "clusterqueues", "kueue.x-k8s.io/v1beta2"),
            ("air-gapped", "validatingadmissionpolicies", "admissionregistration.k8s.io/v1"),
        ],
    )
    def test_the_server_takes_an_overlay(
        self,
        admin: Any,
        base_namespace: str,
        in_namespace: Callable[[str, str], Path],
        overlay: str,
        resource: str,
        group: str,
    ) -> None:
        if group and not admin.knows(resource, group):
            pytest.skip(f"this cluster has no {resource} in {group}")
        admin.kubectl("apply", "--dry-run=server", "-k", str(in_namespace(overlay, base_namespace)))

    def test_more_gpus_than_the_quota_are_refused(self, admin: Any, base_namespace: str) -> None:
        pod = a_pod(limits={"nvidia.com/gpu": "9", "memory": "1Gi"})
        refused = create_when_counted(admin, base_namespace, pod)
        assert refused.returncode == 1
        assert "exceeded quota: starfreight" in refused.stderr
        assert "requests.nvidia.com/gpu=9" in refused.stderr

    def test_a_pod_that_says_nothing_gets_limits(self, admin: Any, base_namespace: str) -> None:
        made = create_when_counted(admin, base_namespace, a_pod(), "-o", "json")
        assert made.returncode == 0, made.stderr
        pod = json.loads(made.stdout)
        admin.kubectl("delete", "pod", "-n", base_namespace, pod["metadata"]["name"], "--now", "--wait=false")
        resources = pod["spec"]["containers"][0]["resources"]
        assert resources["limits"] == {"memory": "1Gi", "ephemeral-storage": "1Gi"}
        assert resources["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}

    def test_a_pod_that_is_root_is_refused(self, admin: Any, base_namespace: str) -> None:
        version = json.loads(admin.kubectl("version", "-o", "json"))["serverVersion"]
        if int("".join(filter(str.isdigit, version["minor"]))) < 25:
            pytest.skip("Kubernetes before 1.25 has no Pod Security admission")
        pod = a_pod()
        pod["spec"]["containers"][0]["securityContext"] = {"privileged": True}
        refused = create_when_counted(admin, base_namespace, pod)
        assert refused.returncode == 1
        assert "violates PodSecurity" in refused.stderr


def a_job(image: str) -> dict[str, Any]:
    """A restricted Job that prints hello and runs until it is stopped."""
    pod = a_pod(limits={"cpu": "100m", "memory": "32Mi", "ephemeral-storage": "16Mi"})["spec"]
    del pod["nodeSelector"]
    pod |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1}
    pod["securityContext"] = {"runAsUser": 65532}
    pod["containers"][0] |= {
        "image": image, "imagePullPolicy": "Never", "command": ["sh", "-c", "echo hello; sleep 600"],
    }  # fmt: skip
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "test-"}, "spec": spec}


def running_pod(submitter: Any, job: str) -> str:
    """Waits until the pod of a job is running, and returns its name."""
    for _ in range(120):
        pods = json.loads(submitter.kubectl("get", "pods", "-l", f"job-name={job}", "-o", "json"))["items"]
        for pod in pods:
            if pod["status"]["phase"] == "Running":
                return str(pod["metadata"]["name"])
            for container in pod["status"].get("containerStatuses", ()):
                reason = container["state"].get("waiting", {}).get("reason")
                if reason == "ErrImageNeverPull":
                    pytest.skip("the node has not the image that STARFREIGHT_CLUSTER_IMAGE names")
        time.sleep(0.5)
    return pytest.fail(submitter.kubectl("get", "events"))


def a_pod(**resources: dict[str, str]) -> dict[str, Any]:
    """A restricted pod with an image that does not exist: only the API server checks it."""
    security = {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    container = {
        "name": "main", "image": "registry.example/nothing@sha256:" + "0" * 64, "resources": resources,
        "securityContext": security,
    }  # fmt: skip
    spec = {
        "containers": [container], "serviceAccountName": KubernetesOptions().service_account,
        "nodeSelector": {"dev.starfreight/nowhere": "true"},
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "test-"}, "spec": spec}


def create_when_counted(admin: Any, namespace: str, manifest: dict[str, Any], *options: str) -> Any:
    """Creates an object after the namespace's quota has been counted for the first time."""
    for _ in range(60):
        done = admin.try_kubectl("create", "-n", namespace, "-f", "-", *options, stdin=json.dumps(manifest))
        if "status unknown for quota" not in done.stderr and "not found" not in done.stderr:
            break
        time.sleep(0.5)
    return done
