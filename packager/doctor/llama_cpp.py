"""llama.cpp's ``-dr``, which reads Docker Hub alone, without credentials."""

from __future__ import annotations

from starfreight.packager.doctor.interface import CannotPullError, Verdict
from starfreight.packager.doctor.live_release import LiveRelease
from starfreight.packager.manifests.docker_model import GGUF
from starfreight.registry.docker_config import DOCKER_HUB
from starfreight.registry.media_types import DOCKER_MANIFEST, OCI_MANIFEST

_ACCEPT = f"{DOCKER_MANIFEST},{OCI_MANIFEST}"


class LlamaCpp:
    """``llama-server -dr``."""

    name = "llama.cpp"
    checks = ("llama.cpp",)

    def check(self, release: LiveRelease) -> Verdict:
        """The first layer with "gguf" in its media type is the model."""
        reference = release.reference
        download = f"starfreight package install {'--insecure ' * release.insecure}{reference} --to DIRECTORY"
        if reference.host.lower() not in DOCKER_HUB:
            return Verdict(
                self.name,
                False,
                f"{download}, then llama-server -m DIRECTORY/MODEL.gguf",
                f"-dr reads Docker Hub only, not {reference.host}",
                "download the file, or push it to a model hub for -hf: starfreight package push-hub",
            )
        tag = reference.tag
        found = release.artifact((f"{tag}-docker", tag), _ACCEPT, "docker")
        if not any(layer.media_type == GGUF or "gguf" in layer.media_type for layer in found.manifest.layers):
            raise CannotPullError(
                "No GGUF layer found in Docker manifest", f"publish with --format docker: {reference}"
            )
        release.check_model(found)
        command = f"llama-server -dr {reference.repository}:{found.tag}"
        return Verdict(self.name, True, command, notes=("reads public repositories only",))
