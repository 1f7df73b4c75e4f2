"""ORAS 1.3, which writes only layers with a title."""

from __future__ import annotations

from starfreight.packager.doctor.interface import CannotPullError, Verdict
from starfreight.packager.doctor.live_release import ORAS_GO, LiveRelease


class Oras:
    """``oras pull``."""

    name = "ORAS"
    checks = ("oras",)

    def check(self, release: LiveRelease) -> Verdict:
        """Look for titles."""
        tag = release.reference.tag
        found = release.artifact((f"{tag}-oci", tag), ORAS_GO, "modelpack")
        if found.model.title is None:
            raise CannotPullError(
                "oras writes nothing: the model's layer has no title",
                "build the package again with this version, and publish it",
            )
        release.check_model(found)
        flag = "--plain-http " if release.insecure else ""
        return Verdict(self.name, True, f"oras pull {flag}{release.tagged(found.tag)}")
