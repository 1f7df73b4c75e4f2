"""``kubernetes/gateway``: a hardened pod whose settings fit its volumes and its network."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.packager.gateway.load import parse_settings

Documents = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def pod(rendered: Documents) -> dict[str, Any]:
    (deployment,) = [one for one in rendered("gateway") if one["kind"] == "Deployment"]
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def settings(folder: Path) -> Any:
    content = (folder / "gateway" / "gateway.yaml").read_bytes()
    return parse_settings(content, "gateway.yaml", Path("/"))


def test_the_pod_meets_the_restricted_standard(pod: dict[str, Any], rendered: Documents) -> None:
    (namespace,) = [one for one in rendered("gateway") if one["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False and "hostNetwork" not in pod
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"livenessProbe", "readinessProbe", "resources"} <= container.keys()


def test_every_file_of_the_settings_is_in_a_volume_of_the_container_that_reads_it(
    pod: dict[str, Any], settings: Any
) -> None:
    gateway, tokens = (
        [mount["mountPath"] for mount in container["volumeMounts"]] for container in pod["containers"]
    )

    def mounted(path: str, mounts: list[str]) -> bool:
        return any(Path(path).is_relative_to(mount) for mount in mounts)

    for path in (settings.tls.certificate, settings.tls.key, settings.registry.credential.password.file):
        assert mounted(path, gateway)
    for mounts in (gateway, tokens):
        assert mounted(settings.users.authorized_keys, mounts) and mounted(settings.users.socket, mounts)
    assert not any(mounted(settings.registry.credential.password.file, [mount]) for mount in tokens)
    volumes = {volume["name"] for volume in pod["volumes"]}
    used = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert volumes == used


def test_the_ports_fit_each_other(pod: dict[str, Any], settings: Any, rendered: Documents) -> None:
    (service,) = [one for one in rendered("gateway") if one["kind"] == "Service"]
    (port,) = pod["containers"][0]["ports"]
    assert settings.listen == f"0.0.0.0:{port['containerPort']}"
    assert service["spec"]["ports"] == [{"name": "https", "port": 443, "targetPort": port["name"]}]
    (policy,) = [one for one in rendered("gateway") if one["metadata"]["name"] == "gateway"
                 and one["kind"] == "NetworkPolicy"]  # fmt: skip
    assert policy["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    labels = service["spec"]["selector"]
    assert policy["spec"]["podSelector"] == {"matchLabels": labels}


def test_it_reaches_the_clusters_names_and_the_registry_alone(rendered: Documents) -> None:
    policies = {
        one["metadata"]["name"]: one["spec"] for one in rendered("gateway") if one["kind"] == "NetworkPolicy"
    }
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    names, registry = policies["gateway"]["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert [port["port"] for port in registry["ports"]] == [443]
    for peer in registry["to"]:
        assert ipaddress.ip_address("169.254.169.254") not in ipaddress.ip_network(peer["ipBlock"]["cidr"])
