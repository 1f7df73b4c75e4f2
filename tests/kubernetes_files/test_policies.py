"""What the base allows: as little as jobs and the people who submit them need."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_REACH_PEERS, LABEL_REACH_REGISTRY

Documents = Callable[[str], list[dict[str, Any]]]


def of_kind(manifests: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [one for one in manifests if one["kind"] in kinds]


class TestNamespace:
    """The restricted Pod Security Standard holds for every pod."""

    @pytest.mark.parametrize("mode", ["enforce", "audit", "warn"])
    def test_pods_are_restricted_by_a_standard_of_a_fixed_version(
        self, rendered: Documents, mode: str
    ) -> None:
        (namespace,) = of_kind(rendered("base"), "Namespace")
        labels = namespace["metadata"]["labels"]
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert labels[f"pod-security.kubernetes.io/{mode}-version"].startswith("v1.")


class TestRights:
    """Who submits may submit; a job may nothing."""

    @pytest.fixture
    def rules(self, rendered: Documents, overlay: str) -> list[dict[str, list[str]]]:
        return [rule for role in of_kind(rendered(overlay), "Role") for rule in role["rules"]]

    def test_no_rule_says_all(self, rules: list[dict[str, list[str]]]) -> None:
        for rule in rules:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]

    def test_rights_cannot_be_widened_and_no_secret_be_read(self, rules: list[dict[str, list[str]]]) -> None:
        for rule in rules:
            assert not {"update", "deletecollection", "bind", "escalate", "impersonate"} & {*rule["verbs"]}
            assert not {"roles", "rolebindings", "secrets", "serviceaccounts", "pods/portforward"} & {
                *rule["resources"]
            }

    def test_rights_end_at_the_namespace(self, rendered: Documents, overlay: str) -> None:
        assert not of_kind(rendered(overlay), "ClusterRole", "ClusterRoleBinding")

    def test_only_the_group_of_submitters_gets_rights(self, rendered: Documents, overlay: str) -> None:
        for binding in of_kind(rendered(overlay), "RoleBinding"):
            assert [(one["kind"], one["name"]) for one in binding["subjects"]] == [
                ("Group", "starfreight-submitters")
            ]

    def test_jobs_get_no_token(self, rendered: Documents) -> None:
        for account in of_kind(rendered("base"), "ServiceAccount"):
            assert account["automountServiceAccountToken"] is False


class TestNetwork:
    """No traffic but that of pods which say that they need it."""

    @pytest.fixture(params=["base", "air-gapped"])
    def policies(self, rendered: Documents, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
        manifests = of_kind(rendered(request.param), "NetworkPolicy")
        return {one["metadata"]["name"]: one["spec"] for one in manifests}

    def test_everything_is_denied_to_every_pod(self, policies: dict[str, dict[str, Any]]) -> None:
        assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def test_what_is_allowed_is_allowed_to_pods_that_jobs_give_a_label(
        self, policies: dict[str, dict[str, Any]]
    ) -> None:
        labels = {"reach-registry": LABEL_REACH_REGISTRY, "reach-peers": LABEL_REACH_PEERS}
        assert policies.keys() == {"deny-all", *labels}
        for name, label in labels.items():
            assert policies[name]["podSelector"] == {"matchLabels": {label: "true"}}

    def test_every_rule_names_peers(self, policies: dict[str, dict[str, Any]]) -> None:
        for policy in policies.values():
            assert all(rule["to"] for rule in policy.get("egress", []))
            assert all(rule["from"] for rule in policy.get("ingress", []))

    def test_nobody_reaches_where_clouds_keep_a_nodes_credentials(
        self, policies: dict[str, dict[str, Any]]
    ) -> None:
        for address in map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")):
            for rule in policies["reach-registry"]["egress"]:
                for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer):
                    excepted = [ipaddress.ip_network(one) for one in block.get("except", [])]
                    inside = address in ipaddress.ip_network(block["cidr"])
                    assert not inside or any(address in one for one in excepted)

    def test_an_air_gapped_job_reaches_one_network_and_the_clusters_names(self, rendered: Documents) -> None:
        egress = [
            rule
            for one in of_kind(rendered("air-gapped"), "NetworkPolicy")
            if one["metadata"]["name"] == "reach-registry"
            for rule in one["spec"]["egress"]
        ]
        blocks = [peer["ipBlock"]["cidr"] for rule in egress for peer in rule["to"] if "ipBlock" in peer]
        assert blocks == ["169.254.20.10/32", "192.0.2.0/24"]


class TestPriorities:
    """Interactive jobs go first, and evict nobody."""

    def test_interactive_jobs_go_first_and_no_value_is_negative(self, rendered: Documents) -> None:
        values = {one["metadata"]["name"]: one["value"] for one in of_kind(rendered("base"), "PriorityClass")}
        assert 0 <= values["starfreight-batch"] < values["starfreight-interactive"]

    def test_no_job_evicts_pods_of_others(self, rendered: Documents) -> None:
        for one in of_kind(rendered("base"), "PriorityClass"):
            assert one["preemptionPolicy"] == "Never"

    def test_no_class_is_everybodys_default(self, rendered: Documents) -> None:
        assert not any(one.get("globalDefault") for one in of_kind(rendered("base"), "PriorityClass"))
