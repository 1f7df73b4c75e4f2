"""modctl and KitOps, which read ModelPack's file paths."""

from __future__ import annotations

from starfreight.packager.doctor.interface import CannotPullError, Verdict
from starfreight.packager.doctor.live_release import ORAS_GO, LiveRelease


class KitOps:
    """``modctl pull`` and ``kit unpack``."""

    name = "modctl and KitOps"
    checks = ("modctl", "kitops")

    def check(self, release: LiveRelease) -> Verdict:
        """Every layer needs a path."""
        tag = release.reference.tag
        found = release.artifact((f"{tag}-oci", tag), ORAS_GO, "modelpack")
        if any(not file.file_path for file in found.files):
            raise CannotPullError(
                "a layer has no file path", "build the package again with this version, and publish it"
            )
        release.check_model(found)
        flag = "--plain-http " if release.insecure else ""
        return Verdict(self.name, True, f"modctl pull {flag}{release.tagged(found.tag)}")
