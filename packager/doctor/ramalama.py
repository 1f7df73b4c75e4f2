"""RamaLama 0.25, through podman; its own HTTP download always fails."""

from __future__ import annotations

import re

from starfreight.packager.doctor.interface import CannotPullError, Verdict
from starfreight.packager.doctor.live_release import CONTAINERS_IMAGE, LiveRelease

_LAYER = re.compile(r"application/vnd\.cncf\.model\.(weight|weight\.config|doc|code|dataset)\.v1\.[a-z+]+")


class RamaLama:
    """``ramalama pull oci://``."""

    name = "RamaLama"
    checks = ("ramalama",)

    def check(self, release: LiveRelease) -> Verdict:
        """It serves the first file in ASCII order, and refuses layer types outside the specification."""
        tag = release.reference.tag
        found = release.artifact((f"{tag}-oci", tag), CONTAINERS_IMAGE, "modelpack")
        foreign = [
            layer.media_type for layer in found.manifest.layers if not _LAYER.fullmatch(layer.media_type)
        ]
        if foreign:
            raise CannotPullError(
                f"it refuses layers of the type {foreign[0]}", "publish ModelPack's own types only"
            )
        names = sorted(file.file_path or "" for file in found.files)
        if names[0] != found.model.file_path:
            raise CannotPullError(
                f"it would serve {names[0] or 'a file without a path'} as the model: the first name in order",
                "build the package again with this version, and publish it",
            )
        release.check_model(found)
        flag = "--tls-verify=false " if release.insecure else ""
        return Verdict(
            self.name,
            True,
            f"ramalama pull {flag}oci://{release.tagged(found.tag)}",
            notes=("with podman 5.6 or later: without it, RamaLama's own download ends in a RuntimeError",),
        )
