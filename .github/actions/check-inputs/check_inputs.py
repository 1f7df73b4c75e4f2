"""Checks the inputs of train.yml before anything is trained. They come as JSON in $INPUTS."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

# One rule for references, here and in the action that publishes.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "publish"))

_CHOICES = {
    "where": ("runner", "kubernetes"),
    "publish": ("all", "best"),
    "torch": ("cpu", "cuda"),
    "sign": ("keyless", "key", "none"),
}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,80}")


def find_problems(inputs: dict[str, str], signing_key: bool, kubeconfig: bool) -> list[str]:
    """A sentence for each input that cannot be used."""
    from publish import RefusedError, check_reference

    problems = []
    for name, choices in _CHOICES.items():
        if inputs[name] not in choices:
            problems.append(f"{name}: {inputs[name]!r} is not one of {', '.join(choices)}.")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", inputs["minutes"]):
        problems.append(f"minutes: {inputs['minutes']!r} is not a whole number of minutes.")
    if not _NAME.fullmatch(inputs["name"]):
        problems.append("name: only letters, digits, dots, hyphens and underscores, at most 80.")
    recipe = Path(inputs["recipe"])
    if recipe.is_absolute() or ".." in recipe.parts or inputs["recipe"].startswith("-"):
        problems.append("recipe: not a path in the repository.")
    if inputs["from_run"] and not re.fullmatch(r"[0-9]+", inputs["from_run"]):
        problems.append("from_run: not the id of a workflow run.")
    if not re.fullmatch(r"[1-4]", inputs["from_part"]):
        problems.append("from_part: not a number from 1 to 4.")
    if inputs["runner"].startswith("["):
        try:
            labels = json.loads(inputs["runner"])
            assert labels and all(isinstance(each, str) for each in labels)
        except (ValueError, AssertionError):
            problems.append("runner: not a JSON array of labels.")
    if inputs["reference"]:
        try:
            check_reference(inputs["reference"])
        except RefusedError as error:
            problems.append(f"reference: {error}")
        if inputs["sign"] == "key" and not signing_key:
            problems.append("sign: key needs the secret signing_key.")
    if inputs["where"] == "kubernetes":
        if not kubeconfig and not inputs["cluster_server"].startswith("https://"):
            problems.append("where: kubernetes needs the secret kubeconfig, or cluster_server with https://.")
        if inputs["image"] and not re.search(r"@sha256:[0-9a-f]{64}$", inputs["image"]):
            problems.append("image: not a reference with a digest, HOST/PATH@sha256:...")
    return problems


def main() -> int:
    """Prints the problems, and returns 2 if there are any."""
    environment = os.environ
    found = find_problems(
        json.loads(environment["INPUTS"]),
        environment["SIGNING_KEY"] == "true",
        environment["KUBECONFIG_GIVEN"] == "true",
    )
    for problem in found:
        # %, CR and LF have meanings in workflow commands.
        escaped = problem.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        print(f"::error title=Train::{escaped}")
    return 2 if found else 0


if __name__ == "__main__":
    sys.exit(main())
