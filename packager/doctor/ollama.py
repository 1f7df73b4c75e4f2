"""Ollama, by :mod:`starfreight.packager.registry.client_probe`."""

from __future__ import annotations

from starfreight.packager.doctor.interface import Verdict
from starfreight.packager.doctor.live_release import LiveRelease


class Ollama:
    """``ollama pull``."""

    name = "Ollama"
    checks = ("ollama",)

    def check(self, release: LiveRelease) -> Verdict:
        """Manifest, length, address and last byte of the model, as an Ollama with a new key asks for them."""
        from starfreight.packager.registry.client_probe import probe_ollama

        probe = probe_ollama(release.reference, insecure=release.insecure)
        return Verdict(self.name, probe.pulls, probe.command, probe.problem, probe.fix)
