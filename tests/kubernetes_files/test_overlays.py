"""Every folder that an admin can apply renders to manifests that hold, and leaves no file out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifest_checks import VERSIONS

from starfreight.recipe.kubernetes import KubernetesOptions

OVERLAYS = ("base", "air-gapped", "kueue", "gpu-operator", "policies", "events", "gateway")

Documents = Callable[[str], list[dict[str, Any]]]

SINCE = {"ValidatingAdmissionPolicy": "1.30", "ValidatingAdmissionPolicyBinding": "1.30"}
"""The first version of Kubernetes that has a kind, where some of those that we support have it not."""


def versions_for(manifest: dict[str, Any]) -> tuple[str, ...]:
    return VERSIONS[VERSIONS.index(SINCE.get(manifest["kind"], VERSIONS[0])) :]


def values_of(node: object, key: str) -> Iterator[object]:
    """What stands under a key, wherever in a manifest."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values_of(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from values_of(value, key)


def generated_from(kustomization: dict[str, Any]) -> set[str]:
    """The files that go into ConfigMaps."""
    return {name for each in kustomization.get("configMapGenerator", []) for name in each["files"]}


def test_every_rendered_manifest_holds_for_every_version(
    overlay: str, rendered: Documents, validate_manifest: Callable[..., None]
) -> None:
    for manifest in rendered(overlay):
        validate_manifest(manifest, versions_for(manifest))


def test_every_file_holds_as_it_is_written(
    folder: Path, overlay: str, documents: Documents, validate_manifest: Callable[..., None]
) -> None:
    kustomization = yaml.safe_load((folder / overlay / "kustomization.yaml").read_text())
    patches = [patch["path"] for patch in kustomization.get("patches", [])]
    left_out = {"kustomization.yaml", *patches, *generated_from(kustomization)}
    for path in sorted((folder / overlay).glob("*.yaml")):
        if path.name not in left_out:
            for manifest in documents(f"{overlay}/{path.name}"):
                validate_manifest(manifest, versions_for(manifest))


def test_the_volume_for_data_holds(documents: Documents, validate_manifest: Callable[..., None]) -> None:
    (claim,) = documents("data-claim.yaml")
    validate_manifest(claim)


def test_no_file_lies_beside_its_kustomization_unused(folder: Path, overlay: str) -> None:
    kustomization = yaml.safe_load((folder / overlay / "kustomization.yaml").read_text())
    used = {*kustomization["resources"], *(patch["path"] for patch in kustomization.get("patches", []))}
    used |= generated_from(kustomization)
    assert {path.name for path in (folder / overlay).iterdir()} - {"kustomization.yaml"} == used - {"../base"}


def test_nothing_is_named_twice_when_all_is_applied(rendered: Documents) -> None:
    names = [
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
        for overlay in ("air-gapped", "kueue", "gpu-operator", "policies", "events", "gateway")
        for one in rendered(overlay)
    ]
    assert len(names) == len(set(names))


def test_everything_lies_in_one_namespace_but_for_what_the_operator_reads(
    overlay: str, rendered: Documents
) -> None:
    namespaces = {one["metadata"]["namespace"] for one in rendered(overlay) if "namespace" in one["metadata"]}
    others: dict[str, set[str]] = {
        "gpu-operator": {"starfreight", "gpu-operator"},
        "policies": set(),
        "gateway": {"starfreight-gateway"},
    }
    assert namespaces == others.get(overlay, {"starfreight"})


def test_what_recipes_name_by_default_is_there(rendered: Documents) -> None:
    names = {(one["kind"], one["metadata"]["name"]) for one in rendered("base")}
    options = KubernetesOptions()
    assert ("ServiceAccount", options.service_account) in names
    assert ("PersistentVolumeClaim", options.runs_claim) in names


def test_no_image_goes_by_a_tag_that_moves(folder: Path) -> None:
    for path in folder.rglob("*.yaml"):
        for manifest in yaml.safe_load_all(path.read_text()):
            for image in values_of(manifest, "image"):
                assert not isinstance(image, str) or "@sha256:" in image, f"{path.name}: {image}"


def test_the_folder_holds_no_python(folder: Path) -> None:
    assert not list(folder.rglob("*.py"))


def test_the_readme_names_only_what_is_there(folder: Path) -> None:
    named = set(re.findall(r"kubernetes/[a-z][a-z0-9./-]*[a-z0-9]", (folder / "README.md").read_text()))
    assert {f"kubernetes/{name}" for name in OVERLAYS} <= named
    assert [name for name in sorted(named) if not (folder.parent / name).exists()] == []


class TestKueue:
    """The queues fit together, and fit what the base allows."""

    def named(self, rendered: Documents, kind: str) -> dict[str, dict[str, Any]]:
        return {one["metadata"]["name"]: one["spec"] for one in rendered("kueue") if one["kind"] == kind}

    def test_the_queue_leads_to_flavors_that_are_there(self, rendered: Documents) -> None:
        queues = self.named(rendered, "ClusterQueue")
        for queue in self.named(rendered, "LocalQueue").values():
            (group,) = queues[queue["clusterQueue"]]["resourceGroups"]
            assert {flavor["name"] for flavor in group["flavors"]} == self.named(
                rendered, "ResourceFlavor"
            ).keys()

    def test_what_a_job_asks_for_is_covered_by_each_flavor(self, rendered: Documents) -> None:
        (queue,) = self.named(rendered, "ClusterQueue").values()
        (group,) = queue["resourceGroups"]
        assert {"cpu", "memory", "ephemeral-storage", KubernetesOptions().gpu_resource} == set(
            group["coveredResources"]
        )
        for flavor in group["flavors"]:
            assert [one["name"] for one in flavor["resources"]] == group["coveredResources"]

    def test_nothing_is_admitted_that_the_quota_refuses(self, rendered: Documents) -> None:
        from kubernetes.utils.quantity import parse_quantity

        (hard,) = (one["spec"]["hard"] for one in rendered("base") if one["kind"] == "ResourceQuota")
        (queue,) = self.named(rendered, "ClusterQueue").values()
        (group,) = queue["resourceGroups"]
        for name in group["coveredResources"]:
            nominal = [
                parse_quantity(one["nominalQuota"])
                for flavor in group["flavors"]
                for one in flavor["resources"]
                if one["name"] == name
            ]
            assert sum(nominal) <= parse_quantity(hard[f"requests.{name}"]), name

    def test_jobs_without_gpus_are_not_assigned_nodes_with_gpus(self, rendered: Documents) -> None:
        flavors = self.named(rendered, "ResourceFlavor")
        (queue,) = self.named(rendered, "ClusterQueue").values()
        (group,) = queue["resourceGroups"]
        for flavor in group["flavors"]:
            quota = {one["name"]: one["nominalQuota"] for one in flavor["resources"]}
            taints = flavors[flavor["name"]].get("nodeTaints", [])
            assert bool(quota[KubernetesOptions().gpu_resource]) == bool(taints)
            assert {one["key"] for one in taints} <= {KubernetesOptions().gpu_resource}

    def test_jobs_of_one_priority_never_push_each_other_out(self, rendered: Documents) -> None:
        (queue,) = self.named(rendered, "ClusterQueue").values()
        assert queue["preemption"]["withinClusterQueue"] == "LowerPriority"


def test_every_priority_is_valid_as_a_label(rendered: Documents, overlay: str) -> None:
    """JobSet writes it as one, and a label cannot begin with a dash."""
    classes = [one for one in rendered(overlay) if one["kind"] in ("PriorityClass", "WorkloadPriorityClass")]
    assert all(one["value"] >= 0 for one in classes)


class TestCustomSchemas:
    """The schemas of custom resources refuse what an API server would drop or refuse."""

    @pytest.fixture
    def queue(self, documents: Documents) -> dict[str, Any]:
        return documents("kueue/cluster-queue.yaml")[0]

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"cohort": "gpus"}, "cohort"),
            ({"preemption": {"withinClusterQueue": "Sometimes"}}, "Sometimes"),
            ({"preemption": {"within": "Never"}}, "within"),
            ({"resourceGroups": [{"flavors": []}]}, "coveredResources"),
        ],
    )
    def test_a_fault_is_found(
        self,
        queue: dict[str, Any],
        change: dict[str, Any],
        problem: str,
        validate_manifest: Callable[..., None],
    ) -> None:
        with pytest.raises(AssertionError, match=problem):
            validate_manifest(queue | {"spec": queue["spec"] | change})

    def test_a_pod_inside_a_jobset_is_checked_to_its_last_field(
        self, validate_manifest: Callable[..., None]
    ) -> None:
        container: dict[str, Any] = {"name": "train", "image": "trainer", "ports": [{"containerPort": 29500}]}
        pod = {"template": {"spec": {"containers": [container]}}}
        jobs = [{"name": "workers", "replicas": 1, "template": {"spec": pod}}]
        jobset = {
            "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "run"},
            "spec": {"replicatedJobs": jobs},
        }  # fmt: skip
        validate_manifest(jobset)
        container["resources"] = {"limits": {"nvidia.com/gpu": 1, "memory": "8Gi"}}
        validate_manifest(jobset)
        container["resources"] = {"limit": {"nvidia.com/gpu": 1}}
        with pytest.raises(AssertionError, match="limit"):
            validate_manifest(jobset)


class TestNetwork:
    """Files to choose from, each for one kind of cluster."""

    FILES = ("openshift-dns", "gke-dns", "cluster-registry", "cloud-identity")

    def test_all_are_tested(self, folder: Path) -> None:
        assert {path.stem for path in (folder / "network").iterdir()} == set(self.FILES)

    @pytest.mark.parametrize("name", FILES)
    def test_a_file_is_valid_and_only_opens_what_it_names(
        self, name: str, documents: Documents, validate_manifest: Callable[..., None]
    ) -> None:
        for policy in documents(f"network/{name}.yaml"):
            validate_manifest(policy)
            assert policy["kind"] == "NetworkPolicy"
            assert policy["metadata"]["namespace"] == "starfreight"
            assert policy["spec"]["policyTypes"] == ["Egress"]
            (selected,) = policy["spec"]["podSelector"]["matchExpressions"]
            assert selected["key"].startswith("dev.starfreight/reach-")
            for rule in policy["spec"]["egress"]:
                assert rule["ports"]
                for peer in rule["to"]:
                    block = peer.get("ipBlock", {}).get("cidr", "")
                    assert block.endswith("/32") or {"namespaceSelector", "podSelector"} == set(peer)

    def test_dns_is_for_peers_too(self, documents: Documents) -> None:
        for name in ("openshift-dns", "gke-dns"):
            keys = [
                one["spec"]["podSelector"]["matchExpressions"][0]["key"]
                for one in documents(f"network/{name}.yaml")
            ]
            assert keys == ["dev.starfreight/reach-registry", "dev.starfreight/reach-peers"]

    def test_the_nodes_metadata_stays_closed_to_dns(self, documents: Documents) -> None:
        for policy in documents("network/gke-dns.yaml"):
            assert {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]} == {53}
