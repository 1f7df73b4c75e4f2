"""The README of a record: the meaning of each file, and the ways to verify it."""

from __future__ import annotations

from collections.abc import Sequence

from starfreight.package import Package
from starfreight.packager.provenance.withdrawal.read import Withdrawal
from starfreight.packager.record.files import RecordFile

CHECKSUMS = "SHA256SUMS"

_TEXT = """# Record of {title}

{withdrawn}Everything but the models of the package `{name}`, of the run `{run}`, which ended {created}.
Equal packages give equal records.

| file | contents |
|---|---|
| `package.json` | the package's own record: name and digest of each part |
{files}| `{checksums}` | SHA-256 of every file here |

## Models

Compare the SHA-256 of a model with this list, with the subjects of `provenance.intoto.json`, or with the
layers of its manifest.

| model | size in bytes | SHA-256 |
|---|---|---|
{models}
## Verification

The files are those of the record (Linux; on macOS, `shasum -a 256 -c`):

    sha256sum -c {checksums}

The package itself, a directory or a release, shows if they belong together and who signed them:

    starfreight package verify DIRECTORY_OR_REFERENCE{key}
{without_starfreight}{signed}
"""
_WITHOUT_STARFREIGHT = """
Without Starfreight, a signature is checked as a Sigstore bundle about one of the manifests. With a key:

    cosign verify-blob-attestation --key signer.pub --insecure-ignore-tlog --check-claims \\
      --type slsaprovenance1 --bundle signatures/provenance-1.sigstore.json manifests/{manifest}

With a certificate, of a workflow on GitHub for example:

    gh attestation verify manifests/{manifest} --bundle signatures/provenance-1.sigstore.json --owner OWNER

"""
_UNSIGNED = "This package is not signed: nothing here proves who made it."
_SIGNED = "The signatures are listed above. Only those of signers whom you trust prove anything."


def readme(package: Package, files: Sequence[RecordFile], withdrawals: Sequence[Withdrawal]) -> str:
    """The README, in Markdown.

    Args:
        package: the record.
        files: of the directory.
        withdrawals: of the release.
    """
    # A withdrawal or a bill of materials can be signed where the package is not.
    signed = any(each.name.startswith("signatures/provenance-") for each in files)
    models = [
        (str(variant.quantization), variant.gguf.size, variant.gguf.digest) for variant in package.variants
    ]
    if package.adapter is not None:
        models.append(("LoRA adapter", package.adapter.size, package.adapter.digest))
    first = next((each.name for each in files if each.name.startswith("manifests/")), "manifests/")
    return _TEXT.format(
        title=_inline(package.title),
        name=package.name,
        run=_inline(package.run),
        created=package.created,
        withdrawn="".join(f"**WITHDRAWN.** {_inline(each.as_sentence())}\n\n" for each in withdrawals),
        files="".join(f"| `{each.name}` | {each.what} |\n" for each in files),
        checksums=CHECKSUMS,
        models="".join(f"| {name} | {size} | `{digest[7:]}` |\n" for name, size, digest in models),
        key=" --key signer.pub" if signed else "",
        without_starfreight=(
            _WITHOUT_STARFREIGHT.format(manifest=first.removeprefix("manifests/")) if signed else "\n"
        ),
        signed=_SIGNED if signed else _UNSIGNED,
    )


def _inline(text: str) -> str:
    from starfreight.packager.card.escape import inline

    return inline(text)
