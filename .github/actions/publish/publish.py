"""Verifies, signs and publishes the packages of a run. Needs only Python and the command starfreight.

Everything comes from the environment, see action.yml.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_REFERENCE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
)


class RefusedError(Exception):
    """The inputs cannot be used."""


@dataclass(frozen=True)
class Publication:
    """A package, its reference, and the quantization for the plain tag; empty for the package's own."""

    package: Path
    reference: str
    default: str = ""


def check_reference(reference: str) -> None:
    """Refuses anything but HOST/NAMESPACE/NAME:TAG.

    Raises:
        RefusedError: with the correct form.
    """
    if not _REFERENCE.fullmatch(reference) or len(reference) > 512:
        raise RefusedError(
            f"{reference!r} is not a reference: write HOST/NAMESPACE/NAME:TAG, with a name in lower case."
        )


def find_publications(folder: Path, reference: str, recipe_name: str) -> list[Publication]:
    """The packages to publish: the folder itself, or those in its starfreight.json.

    Raises:
        RefusedError: there are none, or a record names a package outside the folder.
    """
    if (folder / "package.json").is_file():
        return [Publication(folder, reference)]
    record = folder / "starfreight.json"
    if not record.is_file():
        raise RefusedError(f"{folder} has neither package.json nor starfreight.json.")
    result = json.loads(record.read_text())
    chosen = result.get("chosen")
    if chosen:
        return [Publication(_package(folder, chosen["package"]), reference, chosen["quantization"])]
    packages = [_package(folder, each["package"]) for each in result["variants"]]
    if len(packages) == 1:
        return [Publication(packages[0], reference)]
    if not recipe_name and (folder / "recipe-name").is_file():
        recipe_name = (folder / "recipe-name").read_text().strip()
    found = []
    for package in packages:
        name = json.loads((package / "package.json").read_text())["name"]
        if not recipe_name or not name.startswith(recipe_name) or name == recipe_name:
            raise RefusedError(f"{name!r} is not a variant of {recipe_name!r}: set the input recipe-name.")
        suffix = name.removeprefix(recipe_name)
        if not suffix.startswith("-"):
            # Otherwise 1.0 and .1 would make 1.0.1, which is another release.
            raise RefusedError(f"{name!r} is not a variant of {recipe_name!r}: its name has no hyphen there.")
        check_reference(reference + suffix)
        found.append(Publication(package, reference + suffix))
    return found


def _package(folder: Path, recorded: str) -> Path:
    """The package in the folder; its record may have the path it had on another machine."""
    name = Path(recorded).name
    package = folder / name
    if name in ("", "..") or not (package / "package.json").is_file():
        raise RefusedError(f"The package {recorded!r} is not in {folder}.")
    return package


def signing_options(environment: dict[str, str], temporary: Path) -> list[str]:
    """The options of ``starfreight publish`` that sign.

    Raises:
        RefusedError: the inputs contradict each other.
    """
    sign, key = environment["SIGN"], environment.get("KEY", "")
    if sign == "none":
        return []
    if sign == "keyless":
        config = environment.get("TRUST_CONFIG", "")
        return ["--sign", "--keyless", *(["--trust-config", config] if config else [])]
    if sign != "key" or not key:
        raise RefusedError("The input sign is keyless, none, or key with the input key.")
    if "-----BEGIN" in key:
        path = temporary / "starfreight-signing.key"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(key.strip() + "\n")
        key = str(path)
    return ["--sign", "--key", key]


@contextmanager
def no_commands() -> Iterator[None]:
    """Lines about a package are no commands for the runner, such as those that set outputs."""
    token = secrets.token_hex()
    print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        print(f"\n::{token}::", flush=True)


def publish_all(publications: list[Publication], options: list[str]) -> dict[str, dict[str, str]]:
    """Verifies all packages before the first is sent, then publishes them: reference -> tag -> digest."""
    for each in publications:
        with no_commands():
            verify = ["starfreight", "package", "verify", str(each.package)]
            subprocess.run(verify, check=True, stderr=subprocess.STDOUT)
    published = {}
    for each in publications:
        default = ["--default", each.default] if each.default else []
        command = ["starfreight", "publish", str(each.package), each.reference, *default, *options, "--json"]
        with no_commands():
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, stderr=sys.stdout.fileno(), text=True
            )
        published[each.reference] = json.loads(done.stdout)["tags"]
    return published


def checksums(publications: list[Publication], published: dict[str, dict[str, str]]) -> str:
    """All manifests and GGUF files in the form of sha256sum, for actions/attest."""
    lines: dict[str, str] = {}
    for reference, tags in published.items():
        repository = reference.rpartition(":")[0]
        for tag, digest in tags.items():
            lines.setdefault(digest, f"{repository}:{tag}")
    for each in publications:
        package = json.loads((each.package / "package.json").read_text())
        for variant in package["variants"]:
            name = f"{package['name']}-{variant['quantization']}.gguf"
            lines.setdefault(variant["gguf"]["digest"], re.sub(r"[^A-Za-z0-9._-]", "-", name))
    return "".join(f"{digest.removeprefix('sha256:')}  {name}\n" for digest, name in lines.items())


def summary(published: dict[str, dict[str, str]], environment: dict[str, str]) -> str:
    """The section for the job's summary: all tags, and the commands that verify the release."""
    lines = ["## Published", "", "| tag | manifest |", "|---|---|"]
    for reference, tags in published.items():
        repository = reference.rpartition(":")[0]
        lines += [f"| `{repository}:{tag}` | `{digest}` |" for tag, digest in tags.items()]
    if environment["SIGN"] == "keyless":
        workflow = environment["WORKFLOW"]
        caller, reference = environment.get("GITHUB_REPOSITORY", ""), next(iter(published))
        lines += [
            "", "To verify:", "", "```sh",
            f"starfreight package verify {reference} \\",
            f"  --identity 'https://github.com/{workflow}' \\",
            "  --issuer https://token.actions.githubusercontent.com",
            f"gh attestation verify oci://{reference} --bundle-from-oci --repo {caller} \\",
            f"  --signer-workflow {workflow.partition('@')[0]}", "```",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs the action, and returns its exit code."""
    if not os.environ.get("STARFREIGHT_KEY_PASSWORD"):
        os.environ.pop("STARFREIGHT_KEY_PASSWORD", None)
    environment = dict(os.environ)
    try:
        check_reference(environment["REFERENCE"])
        temporary = Path(environment["RUNNER_TEMP"])
        options = ["--format", environment["FORMATS"]]
        options += ["--insecure"] if environment["INSECURE"] == "true" else []
        options += signing_options(environment, temporary)
        folder = Path(environment["PACKAGES"])
        publications = find_publications(folder, environment["REFERENCE"], environment["RECIPE_NAME"])
        published = publish_all(publications, options)
    except RefusedError as error:
        print(f"::error title=Publish::{error}")
        return 2
    except subprocess.CalledProcessError as error:
        return int(error.returncode)  # The command has printed the reason.
    finally:
        if "RUNNER_TEMP" in environment:
            (Path(environment["RUNNER_TEMP"]) / "starfreight-signing.key").unlink(missing_ok=True)
    listed = temporary / "starfreight-checksums.txt"
    listed.write_text(checksums(publications, published))
    tags = {
        f"{reference.rpartition(':')[0]}:{tag}": digest
        for reference, each in published.items()
        for tag, digest in each.items()
    }
    with Path(environment["GITHUB_OUTPUT"]).open("a") as file:
        file.write(f"references={json.dumps(list(published))}\ntags={json.dumps(tags)}\nchecksums={listed}\n")
    with Path(environment["GITHUB_STEP_SUMMARY"]).open("a") as file:
        file.write(summary(published, environment))
    return 0


if __name__ == "__main__":
    sys.exit(main())
