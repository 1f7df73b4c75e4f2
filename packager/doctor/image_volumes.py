"""Kubernetes image volumes: CRI-O mounts artifacts, containerd does not."""

from __future__ import annotations

from starfreight.packager.doctor.interface import CannotPullError, Verdict
from starfreight.packager.doctor.live_release import CONTAINERS_IMAGE, LiveRelease


class ImageVolumes:
    """``volumes: [{image: {reference: ...}}]``."""

    name = "Kubernetes image volumes"
    checks = ("kubernetes",)

    def check(self, release: LiveRelease) -> Verdict:
        """CRI-O names files by title, else by path."""
        tag = release.reference.tag
        found = release.artifact((f"{tag}-oci", tag), CONTAINERS_IMAGE, "modelpack")
        if not (found.model.title or found.model.file_path):
            raise CannotPullError(
                "CRI-O finds no name for the model's file",
                "build the package again with this version, and publish it",
            )
        release.check_model(found)
        notes = ["on nodes with CRI-O: containerd mounts images with tar layers only (containerd #11381)"]
        if release.insecure:
            notes.append("over plain HTTP only if registries.conf of the nodes allows it")
        return Verdict(
            self.name, True, f"image: {{reference: {release.tagged(found.tag)}}}", notes=tuple(notes)
        )
