"""Output of ``package serve``: warnings, and the command that pulls each model."""

from __future__ import annotations

from typing import Any

from starfreight.packager.serve.listen_address import ListenAddress
from starfreight.packager.serve.read_only_registry import ReadOnlyRegistry


def warnings(listen: ListenAddress, *, keyed: bool, encrypted: bool) -> list[str]:
    """Risks of serving other machines."""
    if listen.is_loopback:
        return []
    lines = []
    if not keyed:
        lines.append(
            "Warning: everybody in this network can pull the packages. Add --keys to name the readers."
        )
    if not encrypted:
        lines.append(
            "Warning: plain HTTP can be read and changed on its way"
            + (", tokens included" if keyed else "")
            + ". Add --tls-cert and --tls-key outside a network that you trust."
        )
    return lines


def result(registry: ReadOnlyRegistry) -> tuple[dict[str, Any], str]:
    """The running server as JSON and as text."""
    pull = "ollama pull --insecure" if registry.insecure else "ollama pull"
    lines = [f"Serving at {'http' if registry.insecure else 'https'}://{registry.host} until Ctrl-C:"]
    if registry.host.startswith("["):
        lines.append("  Ollama needs a host name in place of an IPv6 address: add --name HOST.")
    else:
        lines += [f"  {pull} {tag.reference}" for tag in registry.tags if tag.served.format == "ollama"]
    others = [tag.reference for tag in registry.tags if tag.served.format != "ollama"]
    if others:
        lines.append("For other clients:")
        lines += [f"  {reference}" for reference in others]
    data = {
        "address": registry.host,
        "insecure": registry.insecure,
        "names": list(registry.names),
        "tags": [tag.as_dict() for tag in registry.tags],
    }
    return data, "\n".join(lines)
