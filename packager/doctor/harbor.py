"""Harbor's page of a model (2.13 and later), with README and license."""

from __future__ import annotations

from starfreight.packager.doctor.interface import CannotPullError, Verdict
from starfreight.packager.doctor.live_release import CONTAINERS_IMAGE, LiveRelease
from starfreight.packager.manifests.modelpack import ARTIFACT

_DOC = ("application/vnd.cncf.model.doc.v1.raw", "application/vnd.cncf.model.doc.v1.tar")
_NAMES = {"README": ("README", "README.md"), "license": ("LICENSE", "LICENSE.txt")}
_LIMIT = 4 << 20


class Harbor:
    """The page that Harbor shows, should it be the registry."""

    name = "Harbor's page"
    checks = ("harbor",)

    def check(self, release: LiveRelease) -> Verdict:
        """It looks for documents under exact names, of at most 4 MiB."""
        tag = release.reference.tag
        found = release.artifact((f"{tag}-oci", tag), CONTAINERS_IMAGE, "modelpack")
        if found.manifest.artifact_type != ARTIFACT:
            raise CannotPullError(
                "Harbor takes the artifact for an image: it has no artifact type",
                "build the package again with this version, and publish it",
            )
        for what, names in _NAMES.items():
            files = [file for file in found.files if file.file_path in names]
            if not any(file.descriptor.media_type in _DOC for file in files):
                raise CannotPullError(
                    f"{what} layer not found: no document is called {' or '.join(names)}",
                    "build the package again with this version, and publish it",
                )
            if all(file.descriptor.size > _LIMIT for file in files):
                raise CannotPullError(f"the {what} is larger than 4 MiB", "shorten it")
        host, repository = release.reference.host, release.reference.repository
        project, _, name = repository.partition("/")
        return Verdict(
            self.name, True, f"https://{host}/harbor/projects, project {project}, repository {name}"
        )
