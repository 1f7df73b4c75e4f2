"""Install into a running Ollama through its API alone, without access to its store.

Ollama pulls from a read-only registry on this machine's loopback address, which exists for as long as that
takes. The model then gets its name by ``/api/copy``, and the temporary name goes. Ollama checks every digest,
and the manifest stays as it is.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import GateError, ServiceError, StarfreightError
from starfreight.files import disk_errors, sha256_bytes, write_bytes
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor
from starfreight.packager.install.interface import Installed, Model, OllamaImage, Source
from starfreight.packager.install.ollama_address import OllamaAddress
from starfreight.packager.install.ollama_client import OllamaClient
from starfreight.packager.install.ollama_name import parse_ollama_name
from starfreight.packager.install.staging import staging
from starfreight.registry.media_types import DOCKER_MANIFEST

_REPOSITORY = "starfreight/install"


@dataclass(frozen=True)
class OllamaApi:
    """A running Ollama."""

    address: OllamaAddress

    def check(self, name: str) -> None:
        """Refuse names that Ollama does not have, and servers that cannot reach this machine."""
        parse_ollama_name(name)
        OllamaClient(self.address.url).version()
        if not self.address.is_local:
            raise _out_of_reach(
                "This Ollama is on another machine and cannot pull from this one's loopback address.",
                self.address.url,
            )

    def install(self, model: Model, source: Source, name: str, console: Console) -> Installed:
        """Install a model.

        Raises:
            GateError: the source has other bytes than announced.
            ServiceError: Ollama fails, or a disk is full.
        """
        client, image = OllamaClient(self.address.url), model.image
        final = str(parse_ollama_name(name))
        digest = sha256_bytes(image.manifest)
        needed = [blob for blob in image.blobs if not client.has_blob(blob.digest)]
        present = image.size - sum(blob.size for blob in needed)
        with staging(digest) as folder:
            layout = _fetch(source, image, needed, folder, console)
            answers: list[str] = []
            with _serve(image, needed, layout, source, answers.append) as reference:
                try:
                    self._pull(client, reference, needed, console)
                    found = client.digest(reference)
                    if found is not None and found != digest:
                        raise GateError(
                            f"Ollama has another manifest than {digest}: {found}.",
                            where=self.address.url,
                            fix="run the same command again",
                        )
                    client.copy(reference, final)
                except ServiceError as error:
                    if answers:
                        raise
                    raise _out_of_reach(
                        f"This Ollama, perhaps in a container, does not reach {reference.partition('/')[0]}: "
                        f"{error.what}",
                        self.address.url,
                    ) from error
                finally:
                    with contextlib.suppress(StarfreightError):
                        client.delete(reference)
        return Installed(
            "ollama", self.address.url, final, digest, image.size, present, f"ollama run {final}"
        )

    def _pull(self, client: OllamaClient, reference: str, needed: list[Descriptor], console: Console) -> None:
        total = sum(blob.size for blob in needed)
        wanted = {blob.digest for blob in needed}
        done: dict[str, int] = {}
        with console.progress("Installing", total=total, unit="B") as advance:
            for report in client.pull(reference):
                digest, completed = report.get("digest"), report.get("completed")
                if isinstance(digest, str) and digest in wanted and isinstance(completed, int):
                    advance(completed - done.get(digest, 0))
                    done[digest] = completed


def _fetch(
    source: Source, image: OllamaImage, needed: list[Descriptor], folder: Path, console: Console
) -> ImageLayout:
    """Bring the blobs that Ollama needs and that are not on this disk into ``folder``."""
    layout = ImageLayout(folder)
    remote = [blob for blob in needed if blob.digest not in image.made and source.path(blob) is None]
    total = sum(blob.size for blob in remote)
    with disk_errors(folder), console.progress("Downloading", total=total, unit="B") as advance:
        for blob in needed:
            path = layout.blob_path(blob.digest)
            if blob.digest in image.made:
                write_bytes(path, image.made[blob.digest])
            elif blob in remote and path.exists():
                advance(blob.size)  # Of an earlier, interrupted command; Ollama checks the digest.
            elif blob in remote:
                source.fetch(blob, path, advance)
    return layout


def _out_of_reach(what: str, url: str) -> ServiceError:
    return ServiceError(
        what,
        where=url,
        fix="run the command where Ollama runs; or serve the package to it (starfreight package serve "
        "--listen 0.0.0.0:5080 PACKAGE); or copy files there (--to DIR) and ollama create",
    )


@contextlib.contextmanager
def _serve(
    image: OllamaImage,
    needed: list[Descriptor],
    staged: ImageLayout,
    source: Source,
    log: Callable[[str], None],
) -> Iterator[str]:
    """Serve the image on the loopback address; yields the reference to pull.

    ``log`` is called with a line for each answer.
    """
    from starfreight.packager.serve.catalogue import Catalogue, ServedBlob, ServedManifest
    from starfreight.packager.serve.read_only_registry import serve_catalogue

    tag = f"x{secrets.token_hex(8)}"
    catalogue = Catalogue()
    served = ServedManifest(DOCKER_MANIFEST, image.manifest)
    for name in (tag, served.digest):
        catalogue.manifests[_REPOSITORY, name] = served
    for blob in needed:
        path = None if blob.digest in image.made else source.path(blob)
        # A package's blobs are served from where they are.
        layout = staged if path is None else ImageLayout(path.parents[2])
        catalogue.blobs[_REPOSITORY, blob.digest] = ServedBlob(layout, blob)
    with serve_catalogue(catalogue, log=log) as registry:
        yield f"{registry.host}/{_REPOSITORY}:{tag}"
