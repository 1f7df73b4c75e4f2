"""``podman artifact``, which writes each layer under its title."""

from __future__ import annotations

from starfreight.packager.doctor.interface import CannotPullError, Verdict
from starfreight.packager.doctor.live_release import CONTAINERS_IMAGE, LiveRelease


class PodmanArtifact:
    """``podman artifact pull`` and ``extract``."""

    name = "podman artifact"
    checks = ("podman",)

    def check(self, release: LiveRelease) -> Verdict:
        """Titles must be flat; a layer without one is written under its digest."""
        tag = release.reference.tag
        found = release.artifact((f"{tag}-oci", tag), CONTAINERS_IMAGE, "modelpack")
        if deep := [file.title for file in found.files if file.title and "/" in file.title]:
            raise CannotPullError(
                f"podman refuses the title {deep[0]!r}, which has a slash",
                "build the package again with this version, and publish it",
            )
        release.check_model(found)
        untitled = any(file.title is None for file in found.files)
        flag = "--tls-verify=false " if release.insecure else ""
        return Verdict(
            self.name,
            True,
            f"podman artifact pull {flag}{release.tagged(found.tag)}",
            notes=("files without a title are written under their digests",) if untitled else (),
        )
