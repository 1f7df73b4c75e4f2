"""Docker Model Runner 1.2, which reads ModelPack and Docker's own format."""

from __future__ import annotations

from starfreight.packager.doctor.interface import CannotPullError, Verdict
from starfreight.packager.doctor.live_release import GO_CONTAINERREGISTRY, LiveRelease
from starfreight.packager.manifests.modelpack import ARTIFACT
from starfreight.registry import is_local


class DockerModelRunner:
    """``docker model pull``."""

    name = "Docker Model Runner"
    checks = ("docker",)

    def check(self, release: LiveRelease) -> Verdict:
        """It needs the manifest's artifact type, a path on the weights, and the format gguf in the config."""
        tag = release.reference.tag
        try:
            found = release.artifact((f"{tag}-docker", tag), GO_CONTAINERREGISTRY, "docker")
        except CannotPullError:
            found = release.artifact((f"{tag}-oci", tag), GO_CONTAINERREGISTRY, "modelpack")
            if found.manifest.artifact_type != ARTIFACT or not found.model.file_path:
                raise CannotPullError(
                    "the manifest lacks its artifact type, or the model its file path",
                    "build the package again with this version, and publish it",
                ) from None
        if release.insecure and not is_local(release.reference.host):
            raise CannotPullError(
                "it uses HTTPS with every host but localhost", "serve the registry with TLS"
            )
        release.check_model(found)
        notes = (
            "ignores the template and the parameters: num_ctx is its own default",
            "fill-in-the-middle only by raw tokens in /v1/completions",
        )
        return Verdict(self.name, True, f"docker model pull {release.tagged(found.tag)}", notes=notes)
