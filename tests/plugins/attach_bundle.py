"""Attach bundles to manifests of a package, whatever is in them, and ask GitHub's verifier about bundles."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Package
from starfreight.packager.layout import attach
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE, Bundle, parse_bundle
from starfreight.packager.provenance.signing.sign_package import bundle_evidence

Statement = dict[str, Any]


def attach_bundle(folder: Path, data: bytes, console: Console, subject: Descriptor | None = None) -> None:
    """Attaches a bundle to a manifest, by default the first one of the default variant."""
    package = Package.load(folder)
    manifest = subject or package.default_variant.manifests[0].manifest
    attach(folder, [bundle_evidence(manifest, data, "https://example.org", package.created)], console)


def signed(statement: Statement | bytes, signer: Any) -> bytes:
    """A bundle of a statement."""
    payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    return Bundle(payload, signer.sign_statement(payload)).as_bytes()


def bundles(folder: Path) -> list[tuple[str, Bundle]]:
    """Subject and bundle of each bundle of a package."""
    layout, found = ImageLayout(folder), []
    for attachment in Package.load(folder).attachments:
        if attachment.artifact_type == MEDIA_TYPE:
            (layer,) = layout.manifest(attachment.manifest).layers
            found.append((attachment.subject, parse_bundle(layout.read(layer), "b")))
    return found


def changed_statement(folder: Path, change: Callable[[Statement], object]) -> Statement:
    """The statement in the first bundle of a package, changed."""
    statement: Statement = json.loads(bundles(folder)[0][1].payload)
    change(statement)
    return statement


def run_gh(file: bytes, bundle: bytes, root: Path, folder: Path, *options: str) -> bool:
    """True if the real ``gh`` accepts a bundle about a file, by default for the owner acme; offline."""
    (folder / "model").write_bytes(file)
    (folder / "bundle.json").write_bytes(bundle)
    command = [Path(sysconfig.get_path("scripts"), "gh"), "attestation", "verify", folder / "model"]
    command += ["--bundle", folder / "bundle.json", "--custom-trusted-root", root]
    environment = {**os.environ, "GH_TOKEN": "none", "GH_CONFIG_DIR": str(folder / "gh")}
    done = subprocess.run(
        [*command, *(options or ("--owner", "acme"))],
        capture_output=True, text=True, env=environment, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0
