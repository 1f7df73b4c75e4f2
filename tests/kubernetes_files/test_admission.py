"""The CEL expressions of the admission policies, evaluated by a CEL library."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import cel
import pytest

Documents = Callable[[str], list[dict[str, Any]]]
Admit = Callable[..., bool]

WORKLOAD: dict[str, Any] = {
    "metadata": {
        "name": "job-a", "labels": {"kueue.x-k8s.io/job-uid": "1"}, "ownerReferences": [{"uid": "1"}],
    },
    "spec": {
        "active": True, "priority": 0, "queueName": "starfreight",
        "priorityClassRef": {
            "group": "scheduling.k8s.io", "kind": "PriorityClass", "name": "starfreight-batch",
        },
        "podSets": [{"name": "main", "count": 1}],
    },
}  # fmt: skip


@pytest.fixture
def admits(rendered: Documents) -> Admit:
    """Evaluates the validations of a policy, as an API server does."""

    def evaluate(overlay: str, name: str, **variables: Any) -> bool:
        (policy,) = (
            one["spec"]
            for one in rendered(overlay)
            if one["kind"] == "ValidatingAdmissionPolicy" and one["metadata"]["name"] == name
        )
        variables["variables"] = {}
        for each in policy.get("variables", []):
            variables["variables"][each["name"]] = cel.evaluate(each["expression"], variables)
        return all(cel.evaluate(one["expression"], variables) for one in policy["validations"])

    return evaluate


@pytest.fixture
def changes(admits: Admit) -> Callable[..., bool]:
    """True if a submitter may change a Workload in this way."""

    def admit(change: Callable[[dict[str, Any]], object]) -> bool:
        new = copy.deepcopy(WORKLOAD)
        change(new)
        return admits("kueue", "starfreight-workloads-of-submitters", object=new, oldObject=WORKLOAD)

    return admit


@pytest.mark.parametrize(
    "change",
    [
        lambda new: None,
        lambda new: new["spec"].update(active=False),
        lambda new: new["spec"].pop("active"),
        lambda new: new["metadata"].update(annotations={"a": "b"}),
    ],
    ids=["nothing", "inactive", "active by default", "annotation"],
)
def test_a_submitter_may_cancel_and_resume(
    change: Callable[[dict[str, Any]], object], changes: Callable[..., bool]
) -> None:
    assert changes(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda new: new["spec"].update(priority=1_000_000),
        lambda new: new["spec"].update(active=False, priority=1),
        lambda new: new["spec"].pop("priority"),
        lambda new: new["spec"]["priorityClassRef"].update(name="system-node-critical"),
        lambda new: new["spec"].update(queueName="other"),
        lambda new: new["spec"].update(fieldOfALaterVersion=1),
        lambda new: new["spec"]["podSets"][0].update(count=9),
        lambda new: new["metadata"]["labels"].update({"kueue.x-k8s.io/priority-class": "urgent"}),
        lambda new: new["metadata"].pop("labels"),
        lambda new: new["metadata"].pop("ownerReferences"),
    ],
    ids=[
        "priority", "priority and inactive", "no priority", "class", "queue", "unknown field", "pods",
        "label", "no labels", "no owner",
    ],
)  # fmt: skip
def test_a_submitter_changes_nothing_else_of_a_workload(
    change: Callable[[dict[str, Any]], object], changes: Callable[..., bool]
) -> None:
    assert not changes(change)


@pytest.mark.parametrize(
    ("pod", "subresource", "options", "admitted"),
    [
        ("starfreight-reader-x7k2p-9qwzt", "exec", {"container": "reader", "command": ["python"]}, True),
        ("acme-coder-0123456789-9qwzt", "exec", {"container": "publish"}, False),
        ("acme-coder-0123456789-9qwzt", "exec", {"container": "reader"}, False),
        ("starfreight-reader-x7k2p-9qwzt", "exec", {}, False),
        ("starfreight-reader-x7k2p-9qwzt", "attach", {"container": "reader"}, False),
        ("starfreight-reader-x7k2p-9qwzt", "portforward", {}, False),
    ],
)
def test_a_submitter_connects_to_readers_only(
    pod: str, subresource: str, options: dict[str, Any], admitted: bool, admits: Admit
) -> None:
    request = {"name": pod, "subResource": subresource}
    assert admits("policies", "starfreight-exec-into-readers", request=request, object=options) == admitted


@pytest.mark.parametrize(
    ("pod", "admitted"),
    [
        ({"containers": [{"image": "registry.example.internal/a@sha256:" + "0a" * 32}]}, True),
        ({"containers": [{"image": "registry.example.internal/a:1"}]}, False),
        ({"containers": [{"image": "docker.io/a@sha256:" + "0a" * 32}]}, False),
        (
            {
                "containers": [{"image": "registry.example.internal/a@sha256:" + "0a" * 32}],
                "initContainers": [{"image": "docker.io/a@sha256:" + "0a" * 32}],
            },
            False,
        ),
        (
            {
                "containers": [{"image": "registry.example.internal/a@sha256:" + "0a" * 32}],
                "volumes": [{"name": "a"}, {"image": {"reference": "docker.io/a@sha256:" + "0a" * 32}}],
            },
            False,
        ),
    ],
)
def test_images_come_from_the_mirror_by_digest(pod: dict[str, Any], admitted: bool, admits: Admit) -> None:
    assert admits("air-gapped", "starfreight-images-from-mirror", object={"spec": pod}) == admitted


def test_every_policy_is_bound(rendered: Documents, overlay: str) -> None:
    kinds: dict[str, set[str]] = {
        "ValidatingAdmissionPolicy": set(),
        "ValidatingAdmissionPolicyBinding": set(),
    }
    for one in rendered(overlay):
        if one["kind"] == "ValidatingAdmissionPolicy":
            kinds[one["kind"]].add(one["metadata"]["name"])
        elif one["kind"] == "ValidatingAdmissionPolicyBinding":
            kinds[one["kind"]].add(one["spec"]["policyName"])
    assert kinds["ValidatingAdmissionPolicy"] == kinds["ValidatingAdmissionPolicyBinding"]
